"""How one port's settings are read: the backend is chosen first, then its class is filled."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from entrypoints.settings_part import Part
from entrypoints.settings_sources import Given, Origin, Problem
from entrypoints.settings_variables import HIDDEN, Choice, Refused, Variable, quoted, text_of


@dataclass(frozen=True, slots=True)
class Line:
    """One variable: its default and its present value as anybody may see them, and where that comes from."""

    port: str
    variable: Variable
    default: str
    shown: str
    origin: Origin
    file: Path | None = None
    used: bool = True


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one port in the settings, and the classes that may fill it."""

    port: str
    parts: tuple[type[Part], ...]
    choice: Choice | None

    def variables(self) -> Mapping[str, tuple[Variable, str]]:
        """All variables of all backends by name, each with the text of its default."""
        found: dict[str, tuple[Variable, str]] = {}
        if self.choice is not None:
            found[self.choice.variable.name] = (self._chooser(self.choice), self.choice.default)
        for part in self.parts:
            for name, variable in part.variables():
                found.setdefault(variable.name, (variable, text_of(part.model_fields[name].default)))
        return found

    def read(self, given: Given, problems: list[Problem]) -> Part | None:
        """The chosen class, filled; None when something was wrong, which is then among the problems."""
        part = self._chosen(given)
        if part is None:
            if self.choice is not None:
                problems.append(self._unknown(self.choice, given))
            return None
        values = dict(given.values)
        if self.choice is not None:
            values.setdefault(self.choice.variable.name, self.choice.default)
        named = {name: variable for name, variable in part.variables()}  # noqa: C416 - read twice below
        try:
            filled = part(
                **{name: values[variable.name] for name, variable in named.items() if variable.name in values}
            )
        except ValidationError as error:
            filled, mistakes = None, error.errors(include_url=False)
        else:
            mistakes = []
        # Outside of the handler: an error of pydantic must not hang on ours as its context, with the value in it.
        found = [
            _problem(variable := named[str(each["loc"][0])], given, values.get(variable.name, ""), each)
            for each in mistakes
        ]
        for name, wrong in () if filled is None else filled.contradictions():
            found.append(Problem(named[name].name, wrong, named[name].allowed, given.where(named[name].name)))
        problems.extend(found)
        return None if found else filled

    def _of(self, chosen: type[Part]) -> Set[str]:
        chooser = () if self.choice is None else (self.choice.variable.name,)
        return {*chooser, *(variable.name for _, variable in chosen.variables())}

    def check_the_rest(self, given: Given) -> Iterator[Problem]:
        """What could never be read for those that were not chosen: better told now than on the day that one is."""
        chosen = self._chosen(given)
        if chosen is None:
            return
        looked_at = set(self._of(chosen))
        for part in self.parts:
            named = {name: each for name, each in part.variables() if each.name not in looked_at}
            looked_at |= {each.name for each in named.values()}
            try:
                part(**{name: given.values[each.name] for name, each in named.items() if each.name in given.values})
            except ValidationError as error:
                mistakes = error.errors(include_url=False)
            else:
                mistakes = []
            for mistake in mistakes:
                variable = named.get(str(mistake["loc"][0])) if mistake["loc"] else None
                if variable is not None and variable.name in given.values:
                    yield _problem(variable, given, given.values[variable.name], mistake)

    def lines(self, given: Given, chosen: type[Part]) -> Iterator[Line]:
        """Each variable as it stands now."""
        used = self._of(chosen)
        for name, (variable, default) in self.variables().items():
            yield Line(
                port=self.port,
                variable=variable,
                default=default,
                shown=variable.shown(given.values.get(name, default)),
                origin=given.origin(name),
                file=given.file(name),
                used=name in used,
            )

    def _chosen(self, given: Given) -> type[Part] | None:
        if self.choice is None:
            return self.parts[0]
        backend = self._backend(self.choice, given)
        return next((part for part in self.parts if part.model_fields["backend"].default == backend), None)

    def _backend(self, choice: Choice, given: Given) -> str:
        return choice.resolve(self._value(choice, given), given.values)

    @staticmethod
    def _value(choice: Choice, given: Given) -> str:
        return given.values.get(choice.variable.name, choice.default)

    def _unknown(self, choice: Choice, given: Given) -> Problem:
        value, backend = self._value(choice, given), self._backend(choice, given)
        chooser = self._chooser(choice)
        shown = _shown(chooser, given, value)
        if backend in choice.later:
            wrong = f"{quoted(shown)} is not part of this release"
        else:
            wrong = f"{quoted(shown)} is not known" if shown != HIDDEN else "the value (not shown) is not known"
        return Problem(chooser.name, wrong, chooser.allowed, given.where(chooser.name))

    def _chooser(self, choice: Choice) -> Variable:
        if choice.variable.allowed:
            return choice.variable
        names = (*choice.also, *(str(part.model_fields["backend"].default) for part in self.parts))
        return Variable(choice.variable.name, choice.variable.meaning, ", ".join(names))


def slots_of(settings: type) -> Iterator[Slot]:
    """The slots that a class of settings declares, in its order."""
    for port, hint in get_type_hints(settings, include_extras=True).items():
        choice = next((mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Choice)), None)
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        parts = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
        if all(isinstance(part, type) and issubclass(part, Part) for part in parts):
            yield Slot(port, parts, choice)


def _shown(variable: Variable, given: Given, value: str) -> str:
    """A value that is refused, as anybody may see it: nothing of a file, which may be another than was meant."""
    return HIDDEN if given.origin(variable.name) is Origin.FILE else variable.shown(value)


def _problem(variable: Variable, given: Given, value: str, mistake: Mapping[str, Any]) -> Problem:
    if mistake["type"] == "missing":
        return Problem(variable.name, "is missing", variable.allowed)
    shown = _shown(variable, given, value)
    what = quoted(shown) if shown != HIDDEN else "the value (not shown)"
    reason = mistake.get("ctx", {}).get("error")
    # The reason may repeat a word of the value, but not where that may be a secret.
    tells = isinstance(reason, Refused) and (shown != HIDDEN or variable.secret or variable.sensitive)
    wrong = f"{what} {reason if tells else 'is not allowed'}"
    return Problem(variable.name, wrong, variable.allowed, given.where(variable.name))
