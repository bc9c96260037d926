"""Word and Excel files as their libraries write them: tables, text boxes, emoji, formulas, hidden sheets."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import docx
import openpyxl
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from extractft.documents import Document, read_document
from extractft.errors import DocumentError


def place(document: Document, words: str) -> str:
    start = document.text.index(words)
    return str(document.locate(start, start + len(words)))


def letter() -> docx.document.Document:
    made = docx.Document()
    made.sections[0].header.paragraphs[0].text = "Tea House 🏮"
    made.add_paragraph("Dear 龙琳 👩‍🦰,")
    table = made.add_table(rows=2, cols=3)
    for cell, words in zip(
        (*table.rows[0].cells, *table.rows[1].cells), ("a", "b", "c", "Äpfel 🍎", "2", "3,50"), strict=True
    ):
        cell.text = words
    made.add_paragraph("e\u0301 with a\ttab")
    made.sections[0].footer.paragraphs[0].text = "IBAN DE00"
    return made


def saved(tmp_path: Path, made: docx.document.Document) -> Document:
    made.save(str(tmp_path / "letter.docx"))
    return read_document(tmp_path / "letter.docx")


def test_paragraphs_tables_header_and_footer(tmp_path: Path) -> None:
    document = saved(tmp_path, letter())
    assert document.text == "Tea House 🏮\nDear 龙琳 👩‍🦰,\na\tb\tc\nÄpfel 🍎\t2\t3,50\ne\u0301 with a\ttab\nIBAN DE00"
    assert place(document, "龙琳 👩‍🦰") == "paragraph 1"
    assert place(document, "🍎") == "table 1, row 2, column 1"
    assert place(document, "3,50") == "table 1, row 2, column 3"
    assert place(document, "with") == "paragraph 2"
    assert place(document, "Tea House") == "header"
    assert place(document, "DE00") == "footer"
    assert place(document, "b\tc\nÄpfel") == "table 1, row 1, column 2 to table 1, row 2, column 1"


def test_tracked_changes_are_read_as_accepted(tmp_path: Path) -> None:
    made = docx.Document()
    paragraph = made.add_paragraph("price ")
    namespace = nsdecls("w")
    paragraph._p.append(parse_xml(f"<w:del {namespace}><w:r><w:delText>10</w:delText></w:r></w:del>"))
    paragraph._p.append(parse_xml(f"<w:ins {namespace}><w:r><w:t>12</w:t></w:r></w:ins>"))
    assert saved(tmp_path, made).text == "price 12"


def test_text_boxes_and_content_controls_are_read_once(tmp_path: Path) -> None:
    made = docx.Document()
    box = (
        '<w:r {}><mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        "<mc:Choice><w:drawing><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:txbxContent></w:drawing>"
        "</mc:Choice><mc:Fallback><w:pict><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:txbxContent>"
        "</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    ).format(nsdecls("w"))
    made.add_paragraph("words")._p.append(parse_xml(box))
    control = (
        f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    made.element.body.insert(1, parse_xml(control))
    made.add_table(rows=1, cols=1).cell(0, 0).paragraphs[0]._p.append(parse_xml(box))
    assert saved(tmp_path, made).text == "words\nin a box\nin a control\nin a box"


def test_merged_cells_are_read_once(tmp_path: Path) -> None:
    made = docx.Document()
    table = made.add_table(rows=1, cols=3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(0, 2).text = "narrow"
    assert saved(tmp_path, made).text == "wide\tnarrow"


def workbook() -> openpyxl.Workbook:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "Preise"
    sheet.append(["Artikel", "Preis", "ab"])
    sheet.append(["茶 🍵", 3.5, date(2026, 1, 2)])
    sheet["B5"] = 12
    other = made.create_sheet("Kunde")
    other["C3"] = "龙琳"
    return made


def test_cells_of_all_sheets(tmp_path: Path) -> None:
    workbook().save(tmp_path / "prices.xlsx")
    document = read_document(tmp_path / "prices.xlsx")
    assert document.text == "Artikel\tPreis\tab\n茶 🍵\t3.5\t2026-01-02\n12\n\n龙琳"
    assert place(document, "茶 🍵") == "sheet Preise, cell A2"
    assert place(document, "12") == "sheet Preise, cell B5"
    assert place(document, "龙琳") == "sheet Kunde, cell C3"
    assert place(document, "Preis\tab") == "sheet Preise, cell B1 to sheet Preise, cell C1"


def test_formulas_without_a_result_and_hidden_sheets_are_said(tmp_path: Path) -> None:
    made = workbook()
    made["Preise"]["B6"] = "=SUM(B1:B5)"
    made["Kunde"].sheet_state = "hidden"
    made.save(tmp_path / "prices.xlsx")
    document = read_document(tmp_path / "prices.xlsx")
    assert "龙琳" not in document.text
    assert document.notes == (
        "hidden sheets are left out",
        "1 formulas have no stored result: open and save the file in Excel",
    )


@pytest.mark.parametrize("ending", [".docx", ".xlsx"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_what_is_none_is_told(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=rf"broken\{ending}: expected"):
        read_document(path)


@pytest.mark.parametrize("ending", [".docx", ".xlsx"])
def test_an_archive_of_something_else_and_a_bomb_are_told(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"other{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "words")
    with pytest.raises(DocumentError, match=r"other\.\w+: expected"):
        read_document(path)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(f"{number}.xml", b"\0" * (100 << 20))
    path.write_bytes(out.getvalue())
    with pytest.raises(DocumentError, match="expected at most 512 MiB unpacked"):
        read_document(path)


def test_a_damaged_file_gives_its_text_or_an_error_of_ours(tmp_path: Path) -> None:
    letter().save(str(tmp_path / "whole.docx"))
    workbook().save(tmp_path / "whole.xlsx")
    for ending in (".docx", ".xlsx"):
        whole = bytearray((tmp_path / f"whole{ending}").read_bytes())
        for at in range(0, len(whole), max(1, len(whole) // 30)):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            path = tmp_path / f"damaged{ending}"
            path.write_bytes(damaged)
            try:
                read_document(path)
            except DocumentError:
                continue
