"""Writes people.csv: 1,000 invented people for the demo, 8 of them wrong in 8 ways; the same file every time."""

import csv
import hashlib
from pathlib import Path

import wallycore

from payments.onchain import address
from payments.onchain.network import Network

FILE = Path(__file__).with_name("people.csv")
HEADER = ("reference", "national_id", "full_name", "phone", "address")
COUNT = 1_000

# Invented from common given and family names, by script.
NAMES = [
    (
        "Ayesha Bilal Fatima Hamza Imran Khadija Nadia Omar Sana Usman",
        "Ahmed Baloch Iqbal Khan Malik Qureshi Shah",
    ),
    ("عائشہ بلال فاطمہ حمزہ عمران خدیجہ نادیہ عمر ثنا عثمان", "احمد بلوچ اقبال خان ملک قریشی شاہ"),
    (
        "Ana Bruno Carmen Diego Inés José Lucía Martín Núria Óscar",
        "Solís Díaz García Muñoz Peña Núñez Ibáñez",
    ),
    (
        "Анна Борис Вера Глеб Дарья Иван Мария Олег Софья Юрий",  # noqa: RUF001
        "Котенко Мороз Бондар Левко Савчук Гончар Зима",
    ),
    (
        "Αθηνά Βασίλης Δήμητρα Ελένη Ιωάννης Κώστας Μαρία Νίκος Σοφία Χρήστος",
        "Καρά Λαμπρός Μάρκου Νέζης Ράπτης",
    ),
    ("आशा भरत गीता हरि मीना नवीन प्रिया राजेश सीता विजय", "कुमार शर्मा गुप्ता जोशी मेहता पटेल राव"),
]
# Most people are paid at P2WPKH addresses; the other four kinds come often enough to be seen.
KINDS = ["p2wpkh"] * 16 + ["p2tr", "p2wsh", "p2pkh", "p2sh"]


def random_bytes(*words: object) -> bytes:
    """Return 32 bytes that depend on the words alone."""
    return hashlib.sha256(" ".join(["govpay demo", *map(str, words)]).encode()).digest()


def make_script(number: int) -> bytes:
    """Return the script_pubkey of one person; nobody has its key, and regtest coins are worth nothing."""
    kind, seed = KINDS[number % len(KINDS)], random_bytes("script", number)
    if kind == "p2wsh":
        return b"\x00\x20" + seed
    if kind == "p2pkh":
        return b"\x76\xa9\x14" + seed[:20] + b"\x88\xac"
    if kind == "p2sh":
        return b"\xa9\x14" + seed[:20] + b"\x87"
    if kind == "p2wpkh":
        return b"\x00\x14" + seed[:20]
    return b"\x51\x20" + wallycore.ec_public_key_from_private_key(seed)[1:]


def make_name(number: int) -> str:
    """Return a name in one of the scripts."""
    given, family = (words.split() for words in NAMES[number % len(NAMES)])
    draw = random_bytes("name", number)
    return f"{given[draw[0] % len(given)]} {family[draw[1] % len(family)]}"


def make_row(number: int) -> list[str]:
    """Return a good row. No real national id starts with 99."""
    draw = int.from_bytes(random_bytes("id", number)[:2], "big")
    national_id = f"99{number % 1000:03}-{number:04}{draw % 1000:03}-{draw % 10}"
    phone = "" if number % 9 == 0 else f"+92300{number:07}"
    text = address.address_from_script(make_script(number), Network.REGTEST)
    return [f"PEN-{number:05}", national_id, make_name(number), phone, text]


def make_rows() -> list[list[str]]:
    """Return all rows, with one mistake in each of eight."""
    rows = [make_row(number) for number in range(1, COUNT + 1)]
    witness_script = b"\x00\x14" + random_bytes("elsewhere")[:20]
    rows[136][4] = wallycore.addr_segwit_from_bytes(witness_script, "bc", 0)
    rows[211][4] = wallycore.addr_segwit_from_bytes(witness_script, "tb", 0)
    right = rows[307][4]
    rows[307][4] = right[:20] + ("q" if right[20] != "q" else "p") + right[21:]
    # The same person in another spelling.
    rows[423][1] = rows[58][1].replace("-", "")
    rows[555][0] = rows[402][0]
    rows[640][4] = rows[271][4].upper()
    rows[777][2] = ""
    rows[901][1] = "99/12"
    return rows


def main() -> None:
    """Write the file."""
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(make_rows())


if __name__ == "__main__":
    main()
