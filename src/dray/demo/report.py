"""PDF files with charts: a person's profile, and the week of the whole site."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpdf import FPDF

INK, PALE, ACCENT = (33, 37, 41), (222, 226, 230), (194, 65, 12)  # red, green, blue


def printable(text: str) -> str:
    """The text in the letters that a PDF's built-in fonts have (Latin-1): accents they lack are left off."""
    try:
        text.encode("latin-1")
        return text
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", text)
        return "".join(c for c in plain if not unicodedata.combining(c)).encode("latin-1", "replace").decode("latin-1")


def page(title: str, subtitle: str) -> FPDF:
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_title(printable(title))
    pdf.set_creator("dray demo")
    pdf.add_page()
    pdf.set_fill_color(*ACCENT)
    pdf.rect(0, 0, 210, 6, style="F")
    pdf.set_text_color(*INK)
    pdf.set_xy(20, 22)
    pdf.set_font("Helvetica", "B", 24)
    pdf.cell(text=printable(title))
    pdf.set_xy(20, 34)
    pdf.set_font("Helvetica", "", 11)
    pdf.cell(text=printable(subtitle))
    return pdf


def facts(pdf: FPDF, top: float, rows: Sequence[tuple[str, str]]) -> None:
    """Rows of a name and a value, from `top` (mm) downwards."""
    for n, (name, value) in enumerate(rows):
        pdf.set_xy(20, top + 8 * n)
        pdf.set_font("Helvetica", "B", 10)
        pdf.cell(40, text=printable(name))
        pdf.set_font("Helvetica", "", 10)
        pdf.cell(text=printable(value))


def bars(pdf: FPDF, top: float, title: str, values: Sequence[tuple[str, int]]) -> None:
    """A bar chart, 170 mm wide and 80 mm high, drawn with lines and rectangles."""
    left, width, height = 20.0, 170.0, 70.0
    highest = max([value for _, value in values] + [1])
    pdf.set_font("Helvetica", "B", 12)
    pdf.set_xy(left, top)
    pdf.cell(text=printable(title))
    floor = top + 12 + height
    pdf.set_font("Helvetica", "", 8)
    pdf.set_draw_color(*PALE)
    for quarter in range(5):
        y = floor - height * quarter / 4
        pdf.line(left + 12, y, left + width, y)
        pdf.set_xy(left, y - 2)
        pdf.cell(10, 4, text=f"{highest * quarter / 4:.0f}", align="R")
    step = (width - 14) / max(len(values), 1)
    pdf.set_fill_color(*ACCENT)
    for n, (label, value) in enumerate(values):
        x, tall = left + 14 + step * n, height * value / highest
        pdf.rect(x + step * 0.15, floor - tall, step * 0.7, tall, style="F")
        pdf.set_xy(x, floor + 2)
        pdf.cell(step, 4, text=printable(label), align="C")


def table(pdf: FPDF, top: float, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table over the width of the page, from `top` (mm) downwards; every second row is shaded."""
    pdf.set_fill_color(*PALE)
    for n, row in enumerate([head, *rows]):
        pdf.set_xy(20, top + 4.7 * n)
        pdf.set_font("Helvetica", "B" if n == 0 else "", 9)
        for value in row:
            pdf.cell(170 / len(head), 4.7, text=printable(value), align="R", fill=n % 2 == 1)


def profile(user_id: int, name: str, email: str, joined: str) -> bytes:
    """The profile of a person, two pages: who it is with a chart of the year, and the weeks as a table."""
    pdf = page(name, "Profile report")
    facts(pdf, 50, [("Number", str(user_id)), ("E-mail", email), ("Joined", joined)])
    draw = random.Random(user_id)
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    bars(pdf, 84, "Cups of coffee a month", [(month, draw.randint(12, 90)) for month in months])
    pdf.add_page()
    table(pdf, 20, ("Week", "Cups", "Of these espresso", "Litres"), weeks(draw))
    return bytes(pdf.output())


def weeks(draw: random.Random) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number in range(1, 53):
        cups = draw.randint(3, 22)
        rows.append((str(number), str(cups), str(draw.randint(0, cups)), f"{cups * 0.15:.2f}"))
    return rows


def week(day: date, counts: Sequence[tuple[str, int]]) -> bytes:
    """The week of the site, one page: what happened, as numbers and as a chart."""
    year, number, _ = day.isocalendar()
    pdf = page(f"Week {number} of {year}", f"Weekly report, made on {datetime.now(UTC):%d %B %Y at %H:%M} UTC")
    facts(pdf, 50, [(name, f"{value:,}") for name, value in counts])
    bars(pdf, 60 + 8 * len(counts), "What was done", counts)
    return bytes(pdf.output())


def pages(content: bytes) -> int:
    """How many pages a PDF made here has. Raises ValueError if it is not a whole PDF file."""
    if not content.startswith(b"%PDF-") or not content.rstrip().endswith(b"%%EOF"):
        raise ValueError("this is not a whole PDF file")
    return content.count(b"/Type /Page\n")
