"""A hook sidecar: writes the base board's manufacturer that the VMI's annotation asks for into the domain's SMBIOS.

The protocol is KubeVirt's: a unix socket in /var/run/kubevirt-hooks, services kubevirt.hooks.info and
kubevirt.hooks.v1alpha3. usage: hook.py [--name NAME] [--priority N]
"""

import argparse
import json

import info_pb2
import v1alpha3_pb2
from serve import serve
from xml_tree import parse, smbios_entry

ANNOTATION = "smbios.vm.kubevirt.io/baseBoardManufacturer"

parser = argparse.ArgumentParser()
parser.add_argument("--name", default="smbios")
parser.add_argument("--priority", type=int, default=0)
options = parser.parse_args()


def info(_request, _context):
    points = [info_pb2.HookPoint(name=name, priority=options.priority) for name in ("OnDefineDomain", "Shutdown")]
    return info_pb2.InfoResult(name=options.name, versions=["v1alpha3"], hookPoints=points)


def on_define_domain(request, _context):
    vmi = json.loads(request.vmi)
    manufacturer = vmi["metadata"].get("annotations", {}).get(ANNOTATION)
    if manufacturer is None:
        return v1alpha3_pb2.OnDefineDomainResult(domainXML=request.domainXML)
    document = parse(request.domainXML)
    smbios_entry(document, "baseBoard", "manufacturer", manufacturer)
    return v1alpha3_pb2.OnDefineDomainResult(domainXML=document.toxml("utf-8"))


def shutdown(_request, _context):
    print("the guest has ended", flush=True)
    return v1alpha3_pb2.ShutdownResult()


serve(
    f"/var/run/kubevirt-hooks/{options.name}.sock",
    {
        "kubevirt.hooks.info.Info": {"Info": (info, info_pb2.InfoParams)},
        "kubevirt.hooks.v1alpha3.Callbacks": {
            "OnDefineDomain": (on_define_domain, v1alpha3_pb2.OnDefineDomainParams),
            "Shutdown": (shutdown, v1alpha3_pb2.ShutdownParams),
        },
    },
)
