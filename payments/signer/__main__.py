"""Signs govpay's payouts on a host of its own; `python -m payments.signer --help` lists what it does."""

import argparse
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from payments.signer import (
    approver,
    ceremony,
    config,
    descriptor,
    desk,
    hwi,
    keys,
    manifest,
    screen,
    vault,
)
from payments.signer.refusal import NotConfirmed, Refusal, StoreFailed, Unreadable, plain

EXIT_CODES = """\
exit codes:
  0  done
  1  refused by a rule; the code and the sentence are on standard error
  2  wrong arguments
  3  a file, a setting or a bundle cannot be read
  4  the key file, its passphrase or the key is not right
  5  the hardware device, or hwi, did not do it
  6  the store is missing, busy or was altered
  7  the person at the screen said no

Nothing here needs a network, a database or the rest of govpay. docs/signer.md is the guide.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    args = parser().parse_args(arguments)
    console = screen.make()
    try:
        args.run(args, console)
    except Refusal as refusal:
        console.file.flush()
        # A message may quote a bundle or a device, and neither may write over the screen.
        print(f"refused ({refusal.code}): {plain(refusal.message)}", file=sys.stderr)  # noqa: T201 - it is a program.
        return refusal.exit_status
    except sqlite3.Error as error:
        print(f"refused (store_unreadable): The store does not work: {error}", file=sys.stderr)  # noqa: T201
        return StoreFailed.exit_status
    except OSError as error:
        print(f"refused (file): {error}", file=sys.stderr)  # noqa: T201
        return Unreadable.exit_status
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201
        return NotConfirmed.exit_status
    return 0


def _key_new(args: argparse.Namespace, console: Console) -> None:
    ceremony.make_home(args.home)
    passphrase = vault.ask_new(args.passphrase_fd)
    words = keys.new_mnemonic()
    about = _save_key(args, words, passphrase)
    console.print("Write these 24 words down; with them, and without the passphrase, anybody can spend:")
    listed = words.split()
    for row in range(0, len(listed), 6):
        console.print("  ".join(f"{n + 1:2} {listed[n]:<8}" for n in range(row, row + 6)))
    screen.show_key(console, about, keys.origin_text(about))


def _key_import(args: argparse.Namespace, console: Console) -> None:
    ceremony.make_home(args.home)
    passphrase = vault.ask_new(args.passphrase_fd)
    secret = vault.ask("BIP39 words or master private key (tprv)", args.passphrase_fd)
    about = _save_key(args, secret.decode(errors="replace"), passphrase)
    screen.show_key(console, about, keys.origin_text(about))


def _save_key(args: argparse.Namespace, secret: str, passphrase: bytes) -> dict[str, Any]:
    default = keys.MULTISIG_PATH if args.multisig else keys.SINGLE_PATH
    return keys.save(
        args.home / ceremony.KEY_FILE,
        secret,
        network=args.network,
        derivation=args.path or default,
        passphrase=passphrase,
    )


def _key_show(args: argparse.Namespace, console: Console) -> None:
    about = keys.read(args.home / ceremony.KEY_FILE)
    screen.show_key(console, about, keys.origin_text(about))


def _descriptor(args: argparse.Namespace, console: Console) -> None:
    text = descriptor.compose(args.key, args.needed)
    # A program is made with what this prints, long before a signer would refuse the wallet.
    config.require_overlap(descriptor.parse(text))
    console.print(text, soft_wrap=True)


def _devices(args: argparse.Namespace, console: Console) -> None:
    for device in hwi.enumerate_(config.require_test_network(args.network)):
        state = device.error or "ready"
        console.print(plain(f"{device.fingerprint or '--------'}  {device.model}: {state}"))


def _init(args: argparse.Namespace, console: Console) -> None:
    figures = ("tx_sat", "day_sat", "fee_sat", "feerate_sat_vb", "fee_share_bps")
    ceremony.set_up(
        args.home,
        network=args.network,
        wallet=args.wallet,
        programs=args.program,
        descriptor_text=args.descriptor,
        device=args.device,
        approvers=args.approver,
        approvals_needed=args.approvals,
        caps={name: getattr(args, name) for name in figures},
        now=_now(),
    )
    console.print(f"This signer is set up in {args.home}. Read {config.FILE} there and set its caps.")


def _approver_new(args: argparse.Namespace, console: Console) -> None:
    about = approver.new(args.key, username=args.user, passphrase=vault.ask_new(args.passphrase_fd))
    console.print("Register this with govpay, and give the public key to every signer by hand:")
    console.print(approver.registration(about), soft_wrap=True)


def _approver_show(args: argparse.Namespace, console: Console) -> None:
    console.print(approver.registration(approver.read(args.key)), soft_wrap=True)


def _approve(args: argparse.Namespace, console: Console) -> None:
    about = approver.read(args.key)
    summary = screen.Summary()
    try:
        with args.manifest.open("rb") as file:
            found = manifest.read(manifest.lines_of_file(file), visit=summary.add)
    except OSError as error:
        raise Unreadable("file", f"{args.manifest} cannot be read: {error.strerror}.") from error
    if args.sha256 is not None and args.sha256.lower() != found.sha256.hex():
        raise Refusal(
            "manifest_other", f"This manifest's SHA-256 is {found.sha256.hex()}, not the one you named."
        )
    config.require_test_network(found.header.network)
    screen.show_manifest(console, found.header, found.sha256, summary)
    screen.confirm(console, "approve")
    signature = approver.sign(about, vault.ask("Passphrase", args.passphrase_fd), found.sha256)
    desk.write_file(args.out, f"{signature}\n")
    console.print(f"Signed; the signature is in {args.out}.")


def _inspect(args: argparse.Namespace, console: Console) -> None:
    desk.Desk.open(args.home, console).inspect(args.bundle, accepted=args.accept, now=_now())
    console.print("Every rule is kept; nothing was signed.")


def _sign(args: argparse.Namespace, console: Console) -> None:
    desk.Desk.open(args.home, console).sign(
        args.bundle,
        args.out,
        accepted=args.accept,
        is_agreed=args.yes,
        passphrase_fd=args.passphrase_fd,
        now=_now(),
    )


def _history(args: argparse.Namespace, console: Console) -> None:
    opened = desk.Desk.open(args.home, console).store
    screen.show_history(console, opened.all(), "Signed by this signer")
    screen.show_head(console, opened.head())


def _verify_store(args: argparse.Namespace, console: Console) -> None:
    opened = desk.Desk.open(args.home, console).store
    screen.show_head(console, opened.verify())
    if args.head is not None and not opened.has(args.head):
        raise StoreFailed("store_shortened", "The head that you noted is not in this store: it lost records.")


def _now() -> datetime:
    return datetime.now(UTC)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m payments.signer",
        description="Checks and signs the payouts of govpay on a host of its own.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--home",
        type=Path,
        default=Path.home() / ".govpay-signer",
        help="folder of configuration, key and store (default: %(default)s)",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_keys(commands)
    _add_init(commands)
    _add_approvers(commands)
    _add_signing(commands)
    return top


def _add_keys(commands: Any) -> None:
    group = commands.add_parser("key", help="make, import or show this signer's key")
    verbs = group.add_subparsers(required=True, metavar="VERB")
    for name, run, text in (
        ("new", _key_new, "make a key and show its 24 words once"),
        ("import", _key_import, "take BIP39 words or a master private key"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("--network", required=True, choices=config.NETWORKS)
        verb.add_argument("--multisig", action="store_true", help=f"use {keys.MULTISIG_PATH} for the path")
        verb.add_argument("--path", help=f"hardened path of the account (default: {keys.SINGLE_PATH})")
        _add_passphrase(verb)
        verb.set_defaults(run=run)
    verbs.add_parser("show", help="show what is public of the key").set_defaults(run=_key_show)
    compose = commands.add_parser("descriptor", help="make the wallet's descriptor of its signers' keys")
    compose.add_argument("key", nargs="+", help="[fingerprint/path]tpub... as `key show` prints it")
    compose.add_argument("--needed", type=int, help="how many of the keys must sign; without: one key, wpkh")
    compose.set_defaults(run=_descriptor)
    devices = commands.add_parser("devices", help="list hardware devices, through hwi")
    devices.add_argument("--network", required=True, choices=config.NETWORKS)
    devices.set_defaults(run=_devices)


def _add_init(commands: Any) -> None:
    init = commands.add_parser("init", help="set this signer up: configuration and an empty store")
    init.add_argument("--network", required=True, choices=config.NETWORKS)
    init.add_argument("--wallet", required=True, help="the wallet's name in govpay")
    init.add_argument("--program", required=True, action="append", help="code of a program to sign for")
    init.add_argument("--descriptor", required=True, help="the wallet's descriptor with its checksum")
    init.add_argument("--device", metavar="FINGERPRINT", help="the key is in a hardware device")
    init.add_argument(
        "--approver", required=True, action="append", metavar="NAME=KEY", help="an approver's public key, hex"
    )
    init.add_argument("--approvals", type=int, default=1, help="how many of them must have signed (1)")
    init.add_argument("--tx-sat", type=int, required=True, help="most that a tx may pay, its fee in it")
    init.add_argument("--day-sat", type=int, required=True, help="most that a UTC day may pay")
    init.add_argument("--fee-sat", type=int, default=100_000, help="highest fee (%(default)s)")
    init.add_argument("--feerate-sat-vb", type=int, default=50, help="highest feerate (%(default)s)")
    init.add_argument(
        "--fee-share-bps", type=int, default=500, help="highest fee in 1/10,000 of what is paid (%(default)s)"
    )
    init.set_defaults(run=_init)


def _add_approvers(commands: Any) -> None:
    group = commands.add_parser("approver", help="make or show an approver's key")
    verbs = group.add_subparsers(required=True, metavar="VERB")
    new = verbs.add_parser("new", help="make an approver's key file")
    new.add_argument("--user", required=True, help="the approver's user name in govpay")
    new.add_argument("--key", type=Path, required=True, help="the key file to make")
    _add_passphrase(new)
    new.set_defaults(run=_approver_new)
    show = verbs.add_parser("show", help="show the registration again")
    show.add_argument("--key", type=Path, required=True)
    show.set_defaults(run=_approver_show)
    approve = commands.add_parser("approve", help="look at a manifest and sign it as an approver")
    approve.add_argument("manifest", type=Path, metavar="MANIFEST")
    approve.add_argument("--key", type=Path, required=True, help="the approver's key file")
    approve.add_argument("--out", type=Path, required=True, help="where the signature goes")
    approve.add_argument("--sha256", help="the manifest hash that you saw in govpay")
    _add_passphrase(approve)
    approve.set_defaults(run=_approve)


def _add_signing(commands: Any) -> None:
    inspect = commands.add_parser("inspect", help="check a bundle and show it; nothing is signed")
    sign = commands.add_parser("sign", help="check a bundle, show it, ask, and sign it")
    for command in (inspect, sign):
        command.add_argument("bundle", type=Path, metavar="BUNDLE")
        command.add_argument(
            "--accept",
            action="append",
            default=[],
            choices=config.ACCEPTABLE,
            help="overrule this refusal, where the configuration lets you",
        )
    inspect.set_defaults(run=_inspect)
    sign.add_argument("--out", type=Path, required=True, help="where the signed PSBT goes")
    sign.add_argument("--yes", action="store_true", help="do not ask; the configuration must allow it")
    _add_passphrase(sign)
    sign.set_defaults(run=_sign)
    commands.add_parser("history", help="list what this signer signed").set_defaults(run=_history)
    verify = commands.add_parser("verify-store", help="compute the store's hash chain again")
    verify.add_argument("--head", help="a head noted before, which must be part of it")
    verify.set_defaults(run=_verify_store)


def _add_passphrase(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--passphrase-fd",
        type=int,
        metavar="N",
        help="read the passphrase, a line, from this file descriptor instead of the terminal",
    )


if __name__ == "__main__":
    sys.exit(main())
