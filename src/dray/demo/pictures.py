"""Pictures from an uploaded photograph: three sizes, each with a watermark."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from dray.demo.settings import write_whole

WATERMARK = "dray.demo"
ACCEPTED = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, slots=True)
class Size:
    """One picture to be made: cut to exactly width x height (pixels), or fitted into it with its shape kept."""

    name: str
    width: int
    height: int
    cut: bool
    format: str

    @property
    def filename(self) -> str:
        return f"{self.name}.{'jpg' if self.format == 'JPEG' else self.format.lower()}"


SIZES = (
    Size("thumb", 96, 96, True, "WEBP"),
    Size("card", 320, 240, True, "WEBP"),
    Size("large", 480, 480, False, "JPEG"),
)


class NoPicture(ValueError):
    """The file is no picture that can be used."""


def look(content: bytes) -> tuple[str, int, int]:
    """Format, width and height of a picture, read from its header alone. Raises `NoPicture`."""
    try:
        with Image.open(io.BytesIO(content), formats=ACCEPTED) as image:
            return str(image.format), image.width, image.height
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise NoPicture(f"the photograph must be a {', '.join(ACCEPTED)} file, and this one is not") from error


def expected(size: Size, width: int, height: int) -> tuple[int, int]:
    """The width and height that a source of `width` x `height` pixels comes to."""
    if size.cut:
        return size.width, size.height
    scale = min(size.width / width, size.height / height)
    return round(width * scale), round(height * scale)


def make(source: Path, folder: Path) -> list[str]:
    """Write all sizes of the photograph `source` into `folder`; gives their file names."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(source, formats=ACCEPTED) as opened:
        whole = ImageOps.exif_transpose(opened).convert("RGB")
    for size in SIZES:
        wanted = expected(size, whole.width, whole.height)
        picture = ImageOps.fit(whole, wanted) if size.cut else whole.resize(wanted, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        watermarked(picture).save(buffer, size.format, quality=82)
        write_whole(folder / size.filename, buffer.getvalue())
    return [size.filename for size in SIZES]


def watermarked(picture: Image.Image) -> Image.Image:
    """The picture with the site's name, half transparent, in its lower right corner."""
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    font = ImageFont.load_default(max(9, picture.width // 16))
    edge = max(3, picture.width // 40)
    where = (picture.width - edge, picture.height - edge)
    white, shadow = (255, 255, 255, 170), (0, 0, 0, 90)
    pen.text(where, WATERMARK, font=font, anchor="rs", fill=white, stroke_width=1, stroke_fill=shadow)
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
