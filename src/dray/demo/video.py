"""A still and a small version of a film, with the libraries of FFmpeg (PyAV)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dray.demo.settings import write_whole

STILL = (320, 180)  # pixels
SMALL_HEIGHT = 360  # lines; the width follows the source's shape


def still(source: Path, target: Path, at: float = 2.0) -> None:
    """Write the frame `at` seconds into the film as a JPEG of 320 x 180."""
    import av

    with av.open(str(source)) as film:
        stream = film.streams.video[0]
        film.seek(int(at * 1_000_000))  # microseconds, to the key frame before
        frames: Iterator[Any] = film.decode(stream)
        frame = next(frame for frame in frames if frame.time >= at)
        buffer = io.BytesIO()
        frame.to_image(width=STILL[0], height=STILL[1]).save(buffer, "JPEG", quality=85)
    write_whole(target, buffer.getvalue())


def transcode(source: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Write the film as H.264 in 360 lines with AAC sound. `progress` is told (frames done, frames in all)."""
    import av

    partial = target.with_name(f".{target.name}.part")
    with av.open(str(source)) as film, av.open(str(partial), "w", format="mp4") as small:
        picture, sound = film.streams.video[0], film.streams.audio[0]
        width = round(picture.width * SMALL_HEIGHT / picture.height / 2) * 2
        video: Any = small.add_stream("libx264", rate=picture.average_rate, options={"preset": "veryfast", "crf": "26"})
        video.width, video.height, video.pix_fmt = width, SMALL_HEIGHT, "yuv420p"
        audio: Any = small.add_stream("aac", rate=sound.rate, layout="stereo")
        done = 0
        for frame in film.decode(picture, sound):
            frame.pts = None if isinstance(frame, av.AudioFrame) else frame.pts
            if isinstance(frame, av.VideoFrame):
                done += 1
                smaller = frame.reformat(width, SMALL_HEIGHT, "yuv420p")
                smaller.pict_type = av.video.frame.PictureType.NONE  # the encoder chooses its own key frames
                small.mux(video.encode(smaller))
                if progress is not None and done % 10 == 0:
                    progress(done, picture.frames or done)
            else:
                small.mux(audio.encode(frame))
        small.mux(video.encode(None))
        small.mux(audio.encode(None))
    partial.replace(target)
    if progress is not None:
        progress(done, done)


def look(path: Path) -> tuple[int, int, float, bool]:
    """Width, height, length in seconds, and whether there is sound; the whole film is decoded to be sure."""
    import av

    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = sum(1 for _ in film.decode(stream))
        rate = float(stream.average_rate or 1)
        return stream.width, stream.height, frames / rate, bool(film.streams.audio)
