"""From a TARGET of the command line to the app that it names: `module`, `module:app` or `file.py`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from dray.app import Dray
from dray.errors import ConfigurationError, WorkerError

OURS = Path(__file__).resolve().parent
EXAMPLE = "TARGET is `module`, `module:app` or `file.py`"


def load_app(target: str) -> Dray:
    """Import the code of `target` and find its app. The current folder, and the file's own, can be imported from.

    A file is imported under its stem, or under its dotted name if it is part of a package, as `python -m` would. Raises
    ConfigurationError if there is no such module, or not exactly one app in it; WorkerError if the module fails to import: the
    error's note is then the traceback of the user's own code.
    """
    place, _, attribute = target.strip().partition(":")
    if not place:
        raise ConfigurationError(f"{target!r} names no app; {EXAMPLE}.")
    _importable(Path.cwd())
    module = _from_file(Path(place), target) if place.endswith(".py") else _from_name(place)
    return _named(module, attribute, place) if attribute else _only(module, place)


def _importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _from_file(path: Path, target: str) -> ModuleType:
    if not path.is_file():
        here = [str(other) for other in sorted(path.parent.glob("*.py"))] if path.parent.is_dir() else []
        raise ConfigurationError(f"There is no file {str(path)!r}{_hint(str(path), here, f'; {EXAMPLE}')}")
    path = path.resolve()
    name, root = path.stem, path.parent
    while (root / "__init__.py").is_file():
        name, root = f"{root.name}.{name}", root.parent
    _importable(root)
    if "." in name:
        return _imported(name.removesuffix(".__init__"))
    if not name.isidentifier() or name in sys.stdlib_module_names:
        reason = "is the name of a module of Python itself" if name.isidentifier() else "is not the name of a Python module"
        raise ConfigurationError(f"{target!r} cannot be imported, because {name!r} {reason}; rename the file.")
    known = sys.modules.get(name)
    if known is not None and _same(getattr(known, "__file__", None), path):
        return known
    if known is not None:
        raise ConfigurationError(f"{target!r} cannot be imported, because another module is named {name!r}; rename the file.")
    return _imported(name, path)


def _same(file: str | None, path: Path) -> bool:
    return file is not None and Path(file).resolve() == path


def _from_name(name: str) -> ModuleType:
    if "/" in name or "\\" in name:
        raise ConfigurationError(f"{name!r} is not the name of a module; did you mean '{name}.py'? {EXAMPLE}.")
    try:
        return _imported(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        parent = Path.cwd().joinpath(*name.split(".")[:-1])
        found = [file.stem for file in parent.glob("*.py") if file.stem.isidentifier()]
        found += [file.parent.name for file in parent.glob("*/__init__.py")]
        head = name.rpartition(".")[0]
        names = sorted(f"{head}.{stem}" if head else stem for stem in found if stem != "__init__")
        looked = f" (looked in {Path.cwd()} and in what is installed)"
        raise ConfigurationError(f"There is no module {name!r}{looked}{_hint(name, names, f'; {EXAMPLE}')}") from None


def _hint(wrong: str, known: list[str], otherwise: str) -> str:
    """How the sentence ends: with the nearest of `known`, or as it would `otherwise`."""
    close = difflib.get_close_matches(wrong, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"{otherwise}."


def _imported(name: str, path: Path | None = None) -> ModuleType:
    try:
        return importlib.import_module(name) if path is None else _executed(name, path)
    except ModuleNotFoundError as error:
        if path is None and error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise  # the module itself is missing, not one that it needs
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _executed(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _failed(name: str, error: BaseException) -> WorkerError:
    if isinstance(error, SystemExit):
        said = "it exits; put what only a script should do under `if __name__ == \"__main__\":`"
    else:
        text = str(error).partition("\n")[0]
        said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    failure = WorkerError(f"The module {name!r} cannot be imported: {said}{'' if said.endswith(('.', '?', '!')) else '.'}")
    failure.add_note(own_traceback(error))
    return failure


def own_traceback(error: BaseException) -> str:
    """The traceback without the frames of Dray and of the import machinery: what is left is the user's."""
    shown = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in shown.stack if not _is_ours(frame.filename)]
    shown.stack = traceback.StackSummary.from_list(frames)
    if not frames:
        return "".join(shown.format_exception_only()).rstrip()
    return "".join(shown.format(chain=True)).rstrip()


def _is_ours(file: str) -> bool:
    if file.startswith("<frozen importlib") or file == importlib.__file__:
        return True
    path = Path(file)
    return OURS in path.parents and OURS / "demo" not in path.parents


def _named(module: ModuleType, attribute: str, place: str) -> Dray:
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            apps = list(_apps(module))
            known = f"it has {' and '.join(apps)}" if apps else "it has no app at all: app = Dray()"
            raise ConfigurationError(f"{place} has no {attribute!r}; {known}.")
        found = getattr(found, part)
    if not isinstance(found, Dray):
        raise ConfigurationError(f"{place}:{attribute} is {_kind(found)}, not an app; name the variable that holds Dray().")
    return found


def _kind(value: object) -> str:
    word = type(value).__name__
    return f"{'an' if word[0] in 'aeiouAEIOU' else 'a'} {word}"


def _only(module: ModuleType, place: str) -> Dray:
    apps = _apps(module)
    if not apps:
        raise ConfigurationError(f"There is no Dray app in {place}; make one there (app = Dray()), or name another module.")
    if len({id(app) for app in apps.values()}) > 1:
        choice = " or ".join(f"{place}:{name}" for name in apps)
        raise ConfigurationError(f"There are several apps in {place}; say which: {choice}.")
    return next(iter(apps.values()))


def _apps(module: ModuleType) -> dict[str, Dray]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Dray)}
