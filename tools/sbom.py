"""Writes what the product is made of, as a CycloneDX document: every package of the lock that is shipped.

The document is made from the lock and `pyproject.toml` alone, so that the same release has the same one to the byte
wherever it is made; a moment stands in it only when ``SOURCE_DATE_EPOCH`` gives one. Licences do not stand in a lock.
"""

import argparse
import os
import sys
import tomllib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tools.locked import Pinned, pinned_in

ROOT = Path(__file__).parents[1]


def document(project: str, lock: str, moment: datetime | None) -> str:
    """The text of the document, in CycloneDX 1.6; ``project`` and ``lock`` are the texts of the two files."""
    about = tomllib.loads(project)["project"]
    whole = Component(
        type=ComponentType.APPLICATION,
        name=about["name"],
        version=about["version"],
        description=about["description"],
        licenses=[LicenseExpression(about["license"])],
        bom_ref=f"{about['name']}@{about['version']}",
    )
    pins = list(pinned_in(lock))
    parts = {pin.name: _component(pin) for pin in pins}
    metadata = BomMetaData(component=whole)
    metadata.timestamp = moment
    bom = Bom(
        metadata=metadata,
        components=parts.values(),
        serial_number=uuid5(NAMESPACE_URL, f"{whole.bom_ref.value} {sha256(lock.encode()).hexdigest()}"),
    )
    for asking, component in {whole.name: whole, **parts}.items():
        bom.register_dependency(component, [parts[pin.name] for pin in pins if asking in pin.wanted_by])
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return f"{text}\n"


def mistakes(text: str) -> str:
    """What the schema has against the document; empty when nothing."""
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return "" if wrong is None else str(wrong)


def _component(pin: Pinned) -> Component:
    purl = PackageURL("pypi", name=pin.name, version=pin.version)
    files = [HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes]
    return Component(
        name=pin.name,
        version=pin.version,
        purl=purl,
        bom_ref=purl.to_string(),
        # Not of the component itself: it is one of several files, a wheel for each platform.
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(purl.to_string()),
                comment="any one of the files with these hashes",
                hashes=files,
            )
        ],
        properties=[Property(name="crossdock:only-where", value=pin.marker)] if pin.marker else [],
    )


def main() -> int:
    """Run the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, required=True, help="the file to write")
    output: Path = arguments.parse_args().output
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = None if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    project, lock = (ROOT.joinpath(name).read_text("utf-8") for name in ("pyproject.toml", "requirements/run.txt"))
    text = document(project, lock, moment)
    if wrong := mistakes(text):
        print(f"sbom: not valid, and not written: {wrong}", file=sys.stderr)
        return 1
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, "utf-8")
    print(f"sbom: {len(list(pinned_in(lock)))} packages in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
