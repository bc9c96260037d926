"""PDF files as the libraries that make them write them: text, emoji and tables; scans, passwords and damage."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fpdf import FPDF
from made_font import write_font
from PIL import Image
from pypdf import PdfReader, PdfWriter
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

from extractft.documents import read_document
from extractft.errors import DocumentError, ScannedDocumentError

WORDS = "Rechnung für 龙琳 🧾 Summe: 12,50 €"


def made_by_fpdf(folder: Path, pages: list[str]) -> Path:
    pdf = FPDF()
    pdf.add_font("Boxes", fname=str(write_font(folder / "boxes.ttf", "".join(pages))))
    pdf.set_font("Boxes", size=12)
    for words in pages:
        pdf.add_page()
        pdf.multi_cell(0, 8, words)
    pdf.output(str(folder / "made.pdf"))
    return folder / "made.pdf"


def picture() -> io.BytesIO:
    out = io.BytesIO()
    Image.new("RGB", (60, 80), "white").save(out, "PNG")
    out.seek(0)
    return out


def made_with_pictures(path: Path, *, texts: dict[int, str], pages: int) -> Path:
    pdf = FPDF()
    pdf.set_font("Helvetica", size=12)
    for number in range(1, pages + 1):
        pdf.add_page()
        pdf.image(picture(), x=0, y=0, w=200)
        if number in texts:
            pdf.cell(text=texts[number])
    pdf.output(str(path))
    return path


@pytest.mark.parametrize("content", [b"secret one", b"%PDF-1.4 secret\ntrailer <</Root 1 0 R>>\n", b""])
def test_nothing_of_a_damaged_file_gets_into_a_log(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path / "a.pdf")
    assert caplog.text == ""


def test_pages_emoji_and_other_scripts(tmp_path: Path) -> None:
    document = read_document(made_by_fpdf(tmp_path, ["First page", WORDS, "Third page, e\u0301 too"]))
    start = document.text.index("龙琳 🧾")
    assert document.text[start : start + 4] == "龙琳 🧾"
    assert str(document.locate(start, start + 4)) == "page 2"
    assert str(document.locate(0, 5)) == "page 1"
    assert str(document.locate(start, len(document.text))) == "page 2 to page 3"
    assert [part.label for part in document.parts] == ["page 1", "page 2", "page 3"]
    assert "e\u0301" in document.text


def test_tables_of_reportlab_keep_their_words(tmp_path: Path) -> None:
    path = tmp_path / "table.pdf"
    style = getSampleStyleSheet()["Normal"]
    table = Table([["Article", "Pieces", "Price"], ["Tea", "2", "3.50"], ["Rice", "10", "12.00"]])
    table.setStyle([("GRID", (0, 0), (-1, -1), 1, colors.black)])
    SimpleDocTemplate(str(path), pagesize=A4).build(
        [Paragraph("An offer", style), table, PageBreak(), Paragraph("Payable within 14 days", style)]
    )
    document = read_document(path)
    words = document.text.split()
    assert words[:2] == ["An", "offer"]
    assert words[2:11] == ["Article", "Pieces", "Price", "Tea", "2", "3.50", "Rice", "10", "12.00"]
    start = document.text.index("14 days")
    assert str(document.locate(start, start + 7)) == "page 2"


def test_scans_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = made_with_pictures(tmp_path / "scan.pdf", texts={}, pages=3)
    with pytest.raises(ScannedDocumentError, match="found that all its pages are pictures of text") as caught:
        read_document(path)
    assert caught.value.pages == (1, 2, 3)
    assert any("ocrmypdf" in note for note in caught.value.__notes__)
    with pytest.raises(ScannedDocumentError):
        read_document(path, skip_scans=True)


def test_some_scanned_pages_are_named_and_may_be_left_out(tmp_path: Path) -> None:
    path = made_with_pictures(tmp_path / "mixed.pdf", texts={2: "text beside a picture"}, pages=5)
    with pytest.raises(ScannedDocumentError, match="pages 1, 3-5 of 5 are pictures") as caught:
        read_document(path)
    assert any("skip_scans=True" in note for note in caught.value.__notes__)
    document = read_document(path, skip_scans=True)
    assert document.text == "text beside a picture"
    assert document.notes == ("left out as scans: pages 1, 3-5",)


def test_a_page_with_a_picture_and_text_is_no_scan_and_a_blank_page_is_none(tmp_path: Path) -> None:
    made = canvas.Canvas(str(tmp_path / "blank.pdf"))
    made.drawString(100, 700, "words")
    made.showPage()
    made.showPage()
    made.save()
    assert read_document(tmp_path / "blank.pdf").text == "words"


def test_a_password_and_none_to_open(tmp_path: Path) -> None:
    source = made_by_fpdf(tmp_path, ["secret words"])
    for name, password in (("closed", "secret"), ("open", "")):
        writer = PdfWriter(clone_from=PdfReader(source))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
        writer.write(tmp_path / f"{name}.pdf")
    with pytest.raises(DocumentError, match="expected a PDF without a password"):
        read_document(tmp_path / "closed.pdf")
    assert read_document(tmp_path / "open.pdf").text.strip() == "secret words"


def test_letters_without_a_meaning_are_refused_like_scans(tmp_path: Path) -> None:
    private = "".join(chr(0xE000 + number) for number in range(30))
    with pytest.raises(ScannedDocumentError):
        read_document(made_by_fpdf(tmp_path, [private]))


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"no pdf at all", b"%PDF-1.4\n1 0 obj\n<<\n" * 50])
def test_what_is_no_pdf_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=r"broken\.pdf: expected"):
        read_document(path)


def test_a_damaged_file_gives_its_text_or_an_error_of_ours(tmp_path: Path) -> None:
    whole = made_by_fpdf(tmp_path, [WORDS] * 3).read_bytes()
    path = tmp_path / "damaged.pdf"
    for cut in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:cut])
        try:
            read_document(path)
        except DocumentError:
            continue
