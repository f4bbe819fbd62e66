"""Which columns are a query, which a response, which neither. Knows names only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from glimpse.automm.columns import LIST, Table
from glimpse.errors import UsageError

Signature = Literal["query", "response"]


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that a predictor was told of; None where it was not.

    Attributes:
        query: of the queries.
        response: of the responses.
        label: says what is right, and is not embedded.
    """

    query: list[str] | None
    response: list[str] | None
    label: str | None

    def others(self, given: Table) -> list[str]:
        """Every column but the label."""
        return [name for name in given.columns if name != self.label]

    def side(self, given: Table, signature: Signature | None) -> list[str]:
        """The columns of a side: of the one that is asked for if the data has them, else of the other, as AutoGluon does.

        All columns where no side was told of.

        Raises:
            UsageError: no such side, or the data has the columns of neither.
        """
        if signature not in {None, "query", "response"}:
            raise UsageError(f"signature is {signature!r}: choose 'query' or 'response'")
        every = self.others(given)
        told = {side: names for side, names in (("query", self.query), ("response", self.response)) if names}
        if not told or every in ([LIST], [signature]):
            return every
        for side in sorted(told, key=lambda side: side != signature):
            if set(told[side]) <= set(every):
                return told[side]
        wanted = " or ".join(f"{side} {', '.join(told[side])}" for side in told)
        raise UsageError(f"the data has the columns {', '.join(every)}, and not those of the {wanted}")

    def header(self, signature: Signature | None) -> str:
        """What the column of a list is called."""
        told = {"query": self.query, "response": self.response}.get(signature or "")
        return told[0] if told else signature or LIST

    def pair(self, given: Table) -> tuple[list[str], list[str]]:
        """The columns of the query and of the response; the two that there are where they were not told.

        Raises:
            UsageError: the data does not have them, or it is not clear which they are.
        """
        every = self.others(given)
        if not (self.query and self.response):
            if len(every) != 2:  # noqa: PLR2004
                raise UsageError("say which columns make a pair: query= and response= when the predictor is made")
            return every[:1], every[1:]
        lost = [name for name in (*self.query, *self.response) if name not in every]
        if lost:
            raise UsageError(f"the data has no column {lost[0]!r}: it has {', '.join(every)}")
        return self.query, self.response


def names_of(given: str | Sequence[str] | None) -> list[str] | None:
    """One column or several, as a list."""
    if given is None or not isinstance(given, Sequence) or isinstance(given, str):
        return None if given is None else [str(given)]
    return [str(name) for name in given]
