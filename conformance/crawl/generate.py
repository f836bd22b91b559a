"""Delimited files with dirt of every kind, and for each what a careful reader would find in it. The same seed makes the
same files. Nothing here knows how the crawler works."""

import pathlib
import random
import string

WORDS = "amber birch cedar delta ember fjord grove heath inlet juniper kelp larch moor north oasis pine quartz reed".split()
ACCENTS = ["Zürich", "São Paulo", "Malmö", "Besançon", "Kraków", "Łódź", "東京"]
LATIN = ["Zürich", "Malmö", "Besançon", "Café", "Núñez"]
SENTENCES = ["well, that is it", 'she said "no" twice', "one; two; three", "a | b", "plain text here", "it's fine"]


class Column:
    """A column: its name, what it is to be read as (text, number, day, moment or boolean), how a value is written,
    and what it means."""

    def __init__(self, name, kind, make):
        self.name, self.kind, self.make = name, kind, make


def numbers(random):
    return [
        Column("id", "number", lambda row: same(str(row + 1))),
        Column("amount", "number", lambda row: same(f"{random.randint(1, 99999) / 100:.2f}")),
        Column("balance", "number", lambda row: same(str(random.randint(-5000, 5000)))),
        Column("share", "number", lambda row: (random.choice(["NA", "", "N/A"]), None) if row % 7 == 3
               else same(str(random.randint(0, 100)))),
    ]


def texts(random, accents=ACCENTS):
    digits = lambda count: "".join(random.choice(string.digits) for _ in range(count))
    return [
        Column("word", "text", lambda row: same(random.choice(WORDS))),
        Column("city", "text", lambda row: same(random.choice(accents))),
        Column("zip", "text", lambda row: same(digits(5))),
        Column("article", "text", lambda row: same("0" + digits(4))),
        Column("phone", "text", lambda row: same("+49 30 " + digits(6))),
        Column("card", "text", lambda row: same("4" + digits(15))),
        Column("price", "text", lambda row: same(f"${random.randint(1, 900)}.50")),
        Column("population", "text", lambda row: same(f"{random.randint(1, 900)},{digits(3)}")),
        Column("ratio", "text", lambda row: same(f"{random.randint(1, 99)}%")),
    ]


def times(random):
    def day(order):
        def make(row):
            year, month, date = random.randint(1950, 2030), random.randint(1, 12), 13 + row % 15
            parts = {"iso": f"{year}-{month:02}-{date:02}", "dmy": f"{date:02}/{month:02}/{year}",
                     "mdy": f"{month}/{date}/{year}", "dots": f"{date}.{month}.{year}"}
            return parts[order], f"{year}-{month:02}-{date:02}"
        return make

    def either(row):
        return same(f"{random.randint(1, 12):02}/{random.randint(1, 12):02}/2024")

    def moment(row):
        clock = f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}"
        return same(f"2024-{random.randint(1, 12):02}-{random.randint(1, 28):02} {clock}")

    return [
        Column("on_day", "day", day("iso")),
        Column("day_first", "day", day("dmy")),
        Column("month_first", "day", day("mdy")),
        Column("with_dots", "day", day("dots")),
        Column("either_order", "text", either),
        Column("at_moment", "moment", moment),
        Column("is_open", "boolean", lambda row: same(random.choice(["true", "false"]))),
    ]


def same(text):
    return text, text if text else None


class File:
    """One file while it is made. A dirt changes how it is written, and the truth with it."""

    def __init__(self, name, random):
        self.name, self.random = name, random
        self.delimiter, self.quote, self.escape, self.quoting = ",", '"', '"', "needed"
        self.line_end, self.encoding, self.header, self.extension = "\n", "utf-8", True, "csv"
        self.before, self.after, self.between = [], [], {}
        self.trailing, self.last_line_end, self.row_names, self.blank_after = False, True, False, ""
        self.columns = [numbers(random)[0], texts(random)[0]]
        self.columns += random.sample(numbers(random)[1:] + texts(random)[2:] + times(random), random.randint(2, 6))
        self.count = random.randint(8, 30)
        self.rows, self.truth, self.rescued = None, None, {}

    def fill(self):
        cells = [[column.make(row) for column in self.columns] for row in range(self.count)]
        self.rows = [[text for text, _ in row] for row in cells]
        self.truth = [[value for _, value in row] for row in cells]
        self.written = [column.name for column in self.columns]
        self.names = list(self.written)
        self.kinds = [column.kind for column in self.columns]

    def field(self, text):
        needed = any(mark in text for mark in (self.delimiter, self.quote, "\n", "\r")) or text != text.strip()
        if self.quoting == "never" or (self.quoting == "needed" and not needed):
            return text
        inside = text.replace(self.escape, self.escape * 2) if self.escape != self.quote else text
        return self.quote + inside.replace(self.quote, self.escape + self.quote) + self.quote

    def line(self, fields):
        return (self.delimiter + self.blank_after).join(self.field(field) for field in fields)

    def bytes(self):
        lines = list(self.before)
        if self.header:
            lines.append(self.line(self.written))
        for place, row in enumerate(self.rows):
            lines += self.between.get(place, [])
            line = row if isinstance(row, str) else self.line(row)
            lines.append(line + (self.delimiter if self.trailing else ""))
        lines += self.after
        ends = self.line_end if isinstance(self.line_end, list) else [self.line_end]
        text = "".join(line + ends[place % len(ends)] for place, line in enumerate(lines))
        if not self.last_line_end and lines:
            text = text[: -len(ends[(len(lines) - 1) % len(ends)])]
        return self.encoded(text)

    def encoded(self, text):
        if self.encoding == "mixed":
            lines = text.split("\n")
            return b"\n".join(line.encode("cp1252" if place % 2 else "utf-8") for place, line in enumerate(lines))
        return text.encode(self.encoding)


def dirts():
    """Each dirt by name: what it does to a file before its rows are made, and after."""
    def setting(**values):
        return lambda file: [setattr(file, name, value) for name, value in values.items()]

    def columns(choose):
        def change(file):
            file.columns = choose(file)
        return change

    nothing = lambda file: None
    return {
        "plain": (nothing, nothing),
        "semicolon": (setting(delimiter=";"), nothing),
        "tab": (setting(delimiter="\t", extension="tsv"), nothing),
        "tab_as_csv": (setting(delimiter="\t"), nothing),
        "pipe": (setting(delimiter="|"), nothing),
        "all_quoted": (setting(quoting="always"), nothing),
        "single_quotes": (setting(quote="'", escape="'", quoting="always"), nothing),
        "backslash": (setting(escape="\\", quoting="always"), sentences),
        "sentences": (nothing, sentences),
        "quoted_newlines": (nothing, newlines),
        "blank_after_delimiter": (setting(blank_after=" ", quoting="always"), nothing),
        "no_header": (nothing, no_header),
        "titles": (nothing, lambda file: setattr(file, "before", ["Report of the month", ""])),
        "padded_titles": (wide, padded_titles),
        "comments": (nothing, lambda file: setattr(file, "before", ["# made by a program", "# version 3"])),
        "comment_inside": (nothing, lambda file: file.between.update({4: ["# the second half"]})),
        "footer": (nothing, lambda file: setattr(file, "after", ["", "Source: the office of numbers"])),
        "row_count": (nothing, lambda file: setattr(file, "after", [f"({file.count} rows affected)"])),
        "short_rows": (nothing, short_rows),
        "long_rows": (nothing, long_rows),
        "same_names": (nothing, same_names),
        "empty_names": (nothing, empty_names),
        "row_names": (nothing, row_names),
        "one_column": (columns(lambda file: numbers(file.random)[:1]), nothing),
        "one_text_column": (columns(lambda file: texts(file.random)[3:4]), nothing),
        "one_row": (setting(count=1), nothing),
        "no_row": (setting(count=0), no_row),
        "byte_order_mark": (setting(encoding="utf-8-sig"), nothing),
        "utf_16": (setting(encoding="utf-16"), nothing),
        "utf_16_le": (setting(encoding="utf-16-le"), nothing),
        "utf_16_be": (setting(encoding="utf-16-be"), nothing),
        "windows_1252": (latin("cp1252"), nothing),
        "mixed_encodings": (latin("mixed"), nothing),
        "carriage_returns": (setting(line_end="\r"), nothing),
        "both_line_ends": (setting(line_end="\r\n"), nothing),
        "mixed_line_ends": (setting(line_end=["\n", "\r\n", "\n"]), nothing),
        "no_last_line_end": (setting(last_line_end=False), nothing),
        "blank_lines": (nothing, lambda file: file.between.update({3: ["", ""], 6: [""]})),
        "trailing_delimiter": (setting(trailing=True), nothing),
        "separator_line": (setting(delimiter=";"), lambda file: setattr(file, "before", ["sep=;"])),
        "quote_inside": (nothing, quote_inside),
        "unclosed_quote": (nothing, unclosed_quote),
        "quotes_in_quotes": (nothing, quotes_in_quotes),
        "big_field": (nothing, big_field),
        "null_words": (columns(lambda file: [numbers(file.random)[place] for place in (0, 1, 3)]), null_words),
        "fixed_width": (nothing, fixed_width),
        "pivoted": (nothing, pivoted),
    }


def wide(file):
    file.columns = [numbers(file.random)[0], *texts(file.random)[:3]]


def latin(encoding):
    def change(file):
        file.encoding = encoding
        file.columns = [numbers(file.random)[0], texts(file.random, LATIN)[1], *numbers(file.random)[1:3]]
    return change


def add_text(file, values):
    for row, truth, value in zip(file.rows, file.truth, values):
        row.append(value)
        truth.append(value)
    file.written.append("remark")
    file.names.append("remark")
    file.kinds.append("text")


def sentences(file):
    add_text(file, [file.random.choice(SENTENCES) for _ in file.rows])


def newlines(file):
    add_text(file, [f"first line\nsecond, {place}" if place % 3 == 1 else "one line" for place in range(file.count)])


def big_field(file):
    add_text(file, ["x" * 300_000 if place == 2 else "small, or so" for place in range(file.count)])


def no_header(file):
    file.header = False
    file.names = [f"column_{place + 1}" for place in range(len(file.names))]
    for place, column in enumerate(file.columns):
        if column.name in ("zip", "phone"):
            # Without its name, a telephone number still has a plus; a postal code without a zero is a number.
            for row, truth in zip(file.rows, file.truth):
                row[place] = truth[place] = "0" + row[place][1:]


def padded_titles(file):
    rest = file.delimiter * (len(file.names) - 1)
    file.before = ["Report of the month" + rest, rest]


def short_rows(file):
    for place in (3, 6):
        cut = file.random.randint(2, len(file.names) - 1)
        file.rows[place] = file.rows[place][:cut]
        file.truth[place] = file.truth[place][:cut] + [None] * (len(file.names) - cut)


def long_rows(file):
    for place in (2, 5):
        surplus = ["extra", "more"][: 1 + place % 2]
        file.rows[place] = file.rows[place] + surplus
        file.rescued[place] = surplus


def same_names(file):
    file.written[1] = file.written[0]
    file.names[1] = file.names[0] + "_2"


def empty_names(file):
    place = file.random.randint(1, len(file.names) - 1)
    file.written[place] = ""
    file.names[place] = f"column_{place + 1}"


def row_names(file):
    file.written = file.written[1:]
    file.names = ["column_1", *file.names[1:]]


def no_row(file):
    file.kinds = ["text"] * len(file.kinds)


def quote_inside(file):
    add_text(file, [f'{place}" pipe' for place in range(file.count)])
    for place, row in enumerate(file.rows):
        file.rows[place] = file.line(row[:-1]) + file.delimiter + row[-1]


def unclosed_quote(file):
    add_text(file, ['"stray' if place == 4 else "fine" for place in range(file.count)])
    file.rows[4] = file.line(file.rows[4][:-1]) + file.delimiter + '"stray'


def quotes_in_quotes(file):
    add_text(file, ['the "best" of all' for _ in file.rows])
    for place, row in enumerate(file.rows):
        file.rows[place] = file.line(row[:-1]) + file.delimiter + '"the "best" of all"'


def null_words(file):
    for place, word in ((1, "NULL"), (3, "n/a"), (5, "-"), (6, "NaN")):
        file.rows[place][1] = word
        file.truth[place][1] = None


def fixed_width(file):
    file.names = file.written = ["line"]
    file.kinds = ["text"]
    texts = [f"{file.random.choice(WORDS):<12}{file.random.randint(1, 9999):>8}   {place:>3}" for place in range(file.count)]
    file.rows = [[text] for text in texts]
    file.truth = [[text] for text in texts]
    file.quoting = "never"


def pivoted(file):
    file.written = ["country", "2019", "2020", "2021"]
    file.names = list(file.written)
    file.kinds = ["text", "number", "number", "number"]
    file.rows = [[word, *(str(file.random.randint(1, 9000)) for _ in range(3))] for word in WORDS[: file.count]]
    file.truth = [list(row) for row in file.rows]


def make(folder, seeds, per_dirt=1):
    """Writes the files into a folder; gives the files by their names."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for seed in seeds:
        for dirt, (before, after) in dirts().items():
            for number in range(per_dirt):
                choice = random.Random(f"{seed} {dirt} {number}")
                # Letters: files that differ in numbers only are parts of one table.
                mark = "".join(string.ascii_lowercase[int(digit)] for digit in f"{seed}{number:02}")
                file = File(f"{dirt}_{mark}", choice)
                before(file)
                file.fill()
                after(file)
                (folder / f"{file.name}.{file.extension}").write_bytes(file.bytes())
                files[f"{file.name}.{file.extension}"] = file
    return files
