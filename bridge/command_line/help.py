"""Help texts that are made from the settings themselves, so that they cannot fall behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bridge.settings.source import SettingRow


class SettingsHelp(click.Command):
    """A command whose help ends with every setting, its default and its unit."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the settings, section by section."""
        super().format_epilog(ctx, formatter)
        # Only this help needs the models, and they take longer to import than all the rest of the command line.
        from bridge.settings import Settings  # noqa: PLC0415  (see above)
        from bridge.settings.source import rows  # noqa: PLC0415  (see above)

        formatter.write_paragraph()
        formatter.write_text(
            "Settings come from the TOML file ([server] port = 8080) and from the environment, which wins"
            " (BRIDGE_SERVER__PORT=8080: BRIDGE_, the section, two underscores, the key)."
        )
        sections: dict[str, list[tuple[str, str]]] = {}
        for row in rows():
            sections.setdefault(row.section, []).append((row.key, f"{row.about} [{_limits(row)}]"))
        for section, entries in sections.items():
            model = Settings.model_fields[section].annotation
            with formatter.section(f"[{section}] {(model.__doc__ or '').strip()} BRIDGE_{section.upper()}__…"):
                formatter.write_dl(entries)
        formatter.write_paragraph()
        formatter.write_text(
            "[[numbers]] tables (TOML only) give a phone number its own agent.kind, agent.url, agent.secret,"
            " agent.greeting, tts.voice and tts.language."
        )


def _limits(row: SettingRow) -> str:
    """The default and, where it tells more than the default does, what else is possible."""
    default = f"default: {row.default_text}" if row.default_text else "unset"
    return f"{default}; {row.wanted}" if row.wanted.startswith(("a number", "a whole", "one of")) else default
