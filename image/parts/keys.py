"""The vendor's keys: what the firmware's measurements are signed for, and what updates are signed with. They are never part of a commit."""

from parts.host import Failed, remove, say, sha256


def keys(folder, tools):
    """Made where they are missing. A file has its name when it is whole: one that a cut build has left is no key."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    pcr, public = folder / "pcr.pem", folder / "pcr.pub.pem"
    if not pcr.exists():
        say(f"makes a key for PCR signatures: {pcr}")
        whole(pcr, 0o600, lambda new: tools.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", new]))
    if not public.exists():
        whole(public, 0o644, lambda new: tools.run(["openssl", "pkey", "-in", pcr, "-pubout", "-out", new]))
    secret, ring = folder / "update.secret.asc", folder / "update.gpg"
    if not secret.exists():
        say(f"makes a key for updates: {secret}")
        make = """
            gpg --batch --quiet --passphrase '' --quick-gen-key 'custodian updates' rsa3072 sign never
            gpg --batch --quiet --armor --export-secret-keys > """
        whole(secret, 0o600, lambda new: gpg(tools, folder, f"{make}{new}"))
    if not ring.exists():
        whole(ring, 0o644, lambda new: gpg(tools, folder, f"gpg --batch --quiet --import {secret}\ngpg --batch --export > {new}"))
    return pcr, public, secret, ring


def whole(file, mode, make):
    new = file.with_name(f"{file.name}.new")
    remove(new)
    make(new)
    if not new.stat().st_size:
        raise Failed(f"{file} could not be made: nothing came out")
    new.chmod(mode)
    new.rename(file)


def sums(tools, secret, ring, folder, epoch):
    """The hashes of an update directory, and the signature over them, the same each time. Machines have `ring`: what it does not know, they
    refuse. Not given, where the signature is of a key that the machines' present ring has and this one does not."""
    listing = folder / "SHA256SUMS"
    files = sorted(p for p in folder.iterdir() if p.name.startswith("custodian_"))
    listing.write_text("".join(f"{sha256(p)}  {p.name}\n" for p in files))
    gpg(tools, secret.parent, f"""
        gpg --batch --quiet --import {secret}
        rm -f {listing}.gpg
        # No earlier than the key itself, or nobody believes it.
        made=$(gpg --batch --list-keys --with-colons | awk -F: '$1 == "pub" {{ print $6; exit }}')
        when=$(( {epoch} > made ? {epoch} : made ))
        gpg --batch --quiet --faked-system-time $when! --digest-algo SHA512 --no-emit-version --output {listing}.gpg --detach-sign {listing} 2>&1 | grep -v 'faked system time' || true
        test -s {listing}.gpg""")
    if ring:
        verify(tools, ring, listing)


def verify(tools, ring, listing):
    try:
        gpg(tools, listing.parent, f"""
            gpg --batch --quiet --import {ring} 2> $GNUPGHOME/said || {{ cat $GNUPGHOME/said; exit 1; }}
            gpg --batch --quiet --verify {listing}.gpg {listing} 2> $GNUPGHOME/said || {{ cat $GNUPGHOME/said; exit 1; }}""")
    except Failed as e:
        raise Failed(
            f"machines that have {ring} would refuse this: the signature is not of a key in it. If update.gpg is to have another key from "
            "this version on, sign with the one of before: --new-ring"
        ) from e


def gpg(tools, folder, script):
    tools.run(["bash", "-c", f"set -e\nexport GNUPGHOME=$(mktemp -d)\ntrap 'gpgconf --kill all; rm -rf $GNUPGHOME' EXIT\n{script}"], cwd=str(folder))
