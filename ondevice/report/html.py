"""HTML that is escaped by construction: text becomes markup in one place only.

Names in results come from devices and strangers. A page is built from elements; whatever is not
already :class:`Markup` is escaped when it becomes part of one.
"""

from __future__ import annotations

import html

from ondevice.report.text import clean

# Elements without an end tag, of those that are used here.
VOID = frozenset({"meta", "br", "hr", "col"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Markup | None


def element(tag: str, *children: Child, **attributes: str | None) -> Markup:
    """Return an element. `class_` stands for class, `data_x` for data-x; None leaves one out."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(clean(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{named}>")
    return Markup(f"<{tag}{named}>{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """Return children one after the other, escaped where they are text."""
    return Markup("".join(escape(child) for child in children if child is not None))


def escape(child: Child) -> Markup:
    """Return a child as markup."""
    if isinstance(child, Markup):
        return child
    return Markup(html.escape(clean(child or "")))
