"""Puts what the clients have printed into the table of docs/clients.md: `table.py LOG...` reads the lines `client | name |
version | exercised | N passed, M failed` and replaces the rows of those clients; the other rows stay."""

import pathlib
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "clients.md"
HEAD = "| Client | Version | Exercised | Passed |"


def rows_of(lines):
    """The rows of a table by the client's name."""
    rows = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 4:
            rows[cells[0]] = cells
    return rows


def main():
    lines = PAGE.read_text().splitlines()
    start = lines.index(HEAD) + 2
    end = next((at for at in range(start, len(lines)) if not lines[at].startswith("|")), len(lines))
    rows = rows_of(lines[start:end])
    for log in sys.argv[1:]:
        for line in pathlib.Path(log).read_text(errors="replace").splitlines():
            if line.startswith("client | "):
                name, version, exercised, result = [cell.strip() for cell in line.split("|")[1:5]]
                passed, failed = [int(word) for word in result.replace(",", "").split() if word.isdigit()]
                rows[name] = [name, version, exercised, f"{passed} of {passed + failed}"]
    table = [f"| {' | '.join(cells)} |" for _, cells in sorted(rows.items(), key=lambda row: row[0].lower())]
    PAGE.write_text("\n".join(lines[:start] + table + lines[end:]) + "\n")


main()
