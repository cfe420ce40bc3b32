"""A table for many rows: one line each, a cursor, a selection, columns that give way where the terminal is narrow.

Rows have keys: when others come, the cursor and the selection stay with what they were on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dray.top.words import fitted

GAP = 2  # cells between two columns
MARKS = 2  # cells in front of a row: the cursor's and the selection's mark
NARROW = 6  # a column that gives way keeps so many cells


@dataclass(frozen=True)
class Column:
    """How a column is shown."""

    title: str
    right: bool = False  # numbers
    wide: bool = False  # gives way, and takes what is left
    above: int = 0  # only in a table that is at least so many cells wide


@dataclass(frozen=True)
class Row:
    """One line. Cells are texts that a terminal can show without harm."""

    key: str
    cells: Sequence[Text | str]


def widths(columns: Sequence[Column], rows: Sequence[Row], room: int) -> list[int]:
    """Cells for each column, 0 for one that is not shown. All of them, with what is between them, fit into `room`."""
    shown = [column.above <= room for column in columns]
    sizes = []
    for place, column in enumerate(columns):
        longest = max((_cells(row.cells[place]) for row in rows), default=0)
        sizes.append(max(len(column.title), longest) if shown[place] else 0)
    over = sum(size + GAP for size in sizes if size) - GAP - room
    wide = [place for place, column in enumerate(columns) if column.wide and shown[place]]
    while over > 0 and (able := [place for place in wide if sizes[place] > NARROW]):
        most = max(able, key=lambda place: sizes[place])
        second = max((sizes[place] for place in able if place != most), default=NARROW)
        cut = min(over, max(1, sizes[most] - max(NARROW, second)))
        sizes[most] -= cut
        over -= cut
    for place in reversed(range(len(columns))):
        if over > 0 and sizes[place]:
            cut = min(over, sizes[place] - 1)
            sizes[place] -= cut
            over -= cut
    if over < 0 and wide:
        sizes[wide[-1]] -= over
    return sizes


def _cells(cell: Text | str) -> int:
    return cell.cell_len if isinstance(cell, Text) else Text(cell).cell_len


class Table(ScrollView, can_focus=True):
    """The widget. `x` selects, `enter` opens."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--head", "table--cursor", "table--marked", "table--note"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down"), Binding("k,up", "move(-1)", "up"),
        Binding("pagedown,ctrl+d", "page(1)", "a page down"), Binding("pageup,ctrl+u", "page(-1)", "a page up"),
        Binding("g,home", "edge(0)", "first"), Binding("G,end", "edge(1)", "last"),
        Binding("x", "mark", "select"), Binding("a", "mark_all", "select all"), Binding("enter", "open", "open"),
    ]  # fmt: skip

    class Opened(Message):
        """A row is to be opened."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Marked(Message):
        """The selection is another one."""

    def __init__(self, columns: Sequence[Column], *, empty: str, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.empty = empty
        self.rows: list[Row] = []
        self.marked: dict[str, None] = {}  # keys, in the order in which they were selected
        self.place = 0
        self._sizes = widths(self.columns, (), 80)
        self._known = False  # whether it was told of any rows, be they none

    # -- what it shows

    def put(self, rows: Sequence[Row]) -> None:
        """Show other rows. The cursor stays with its row, or where it was if that is gone; so does the selection."""
        at = self.key
        self.rows, self._known = list(rows), True
        places = {row.key: place for place, row in enumerate(self.rows)}
        if gone := [key for key in self.marked if key not in places]:
            for key in gone:
                del self.marked[key]
            self.post_message(self.Marked())
        self._go(places.get(at, self.place) if at is not None else self.place, follow=at not in places)
        self._measure()

    @property
    def key(self) -> str | None:
        """Of the row that the cursor is on."""
        return self.rows[self.place].key if self.rows else None

    @property
    def chosen(self) -> list[str]:
        """What a verb is about: the selected rows, else the one that the cursor is on."""
        if self.marked:
            return list(self.marked)
        return [self.key] if self.key is not None else []

    def unmark(self) -> None:
        """Select nothing."""
        self.marked.clear()
        self.refresh()
        self.post_message(self.Marked())

    def _measure(self) -> None:
        room = self.scrollable_content_region.width or self.size.width
        self._sizes = widths(self.columns, self.rows, max(1, room - MARKS))
        self.virtual_size = Size(room, len(self.rows) + 1)
        self.refresh()

    def on_resize(self) -> None:
        """Columns are measured anew."""
        self._measure()
        self._follow()

    # -- moving

    def _go(self, place: int, follow: bool = True) -> None:
        self.place = max(0, min(len(self.rows) - 1, place))
        if follow:
            self._follow()
        self.refresh()

    def _follow(self) -> None:
        # The heading takes one line and does not scroll.
        self.scroll_to_region(Region(0, self.place, 1, 2), animate=False, force=True, x_axis=False)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._go(self.place + by)

    def action_page(self, by: int) -> None:
        """Move it by a page."""
        self._go(self.place + by * max(1, self.size.height - 2))

    def action_edge(self, end: int) -> None:
        """Move it to the first or the last row."""
        self._go(len(self.rows) - 1 if end else 0)

    def action_mark(self) -> None:
        """Select the row, or no longer, and go to the next."""
        if self.key is not None:
            self._flip(self.key)
            self._go(self.place + 1)

    def action_mark_all(self) -> None:
        """Select all rows that are there; if they are, none."""
        if len(self.marked) == len(self.rows):
            self.unmark()
            return
        self.marked = dict.fromkeys(row.key for row in self.rows)
        self.refresh()
        self.post_message(self.Marked())

    def action_open(self) -> None:
        """Open the row."""
        if self.key is not None:
            self.post_message(self.Opened(self, self.key))

    def _flip(self, key: str) -> None:
        if key in self.marked:
            del self.marked[key]
        else:
            self.marked[key] = None
        self.post_message(self.Marked())

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a second one opens; one on the marks selects."""
        place = int(event.y) - 1 + int(self.scroll_y)
        if event.y < 1 or not 0 <= place < len(self.rows):
            return
        again = place == self.place
        self._go(place, follow=False)
        if event.x < MARKS:
            self._flip(self.rows[place].key)
            self.refresh()
        elif again and event.chain > 1:
            self.action_open()

    # -- drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        if y == 0:
            return self._strip([fitted(column.title, size, right=column.right) for column, size in self._columns()],
                               "  ", self.get_component_rich_style("table--head"), width)  # fmt: skip
        place = y - 1 + int(self.scroll_y)
        if not self.rows and y == 2:
            told = self.empty if self._known else "…"
            return Strip([Segment(fitted(f"  {told}", width), self.get_component_rich_style("table--note"))], width)
        if not 0 <= place < len(self.rows):
            return Strip.blank(width, self.rich_style)
        row = self.rows[place]
        style = self.rich_style
        if row.key in self.marked:
            style += self.get_component_rich_style("table--marked", partial=True)
        if place == self.place:
            style += self.get_component_rich_style("table--cursor", partial=True)
        cells: list[Text | str] = []
        for cell, (column, size) in zip(self._shown(row), self._columns(), strict=True):
            text = cell if isinstance(cell, Text) else Text(cell)
            cells.append(Text(fitted(text.plain, size, right=column.right), style=text.style))
        marks = ("›" if place == self.place and self.has_focus else " ") + ("■" if row.key in self.marked else " ")
        return self._strip(cells, marks, style, width, place == self.place)

    def _columns(self) -> list[tuple[Column, int]]:
        return [(column, size) for column, size in zip(self.columns, self._sizes, strict=True) if size]

    def _shown(self, row: Row) -> list[Text | str]:
        return [cell for cell, size in zip(row.cells, self._sizes, strict=True) if size]

    def _strip(self, cells: Sequence[Text | str], marks: str, style: Style, width: int, plain: bool = False) -> Strip:
        segments = [Segment(marks, style)]
        for number, cell in enumerate(cells):
            if number:
                segments.append(Segment(" " * GAP, style))
            if isinstance(cell, Text):
                # Colours are not readable on the cursor's own; marks and words say the same.
                own = Style.null() if plain or not cell.style else self.app.console.get_style(cell.style, default=Style.null())
                segments.append(Segment(cell.plain, style + Style(color=own.color, bold=own.bold, dim=own.dim)))
            else:
                segments.append(Segment(cell, style))
        return Strip(segments).adjust_cell_length(width, style).crop(0, width)
