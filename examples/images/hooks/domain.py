"""The sidecar of a Plugin object: puts an asset tag with the VMI's name on the guest's chassis.

The protocol is KubeVirt's kubevirt.hooks.plugins.v1alpha1. usage: domain.py SOCKET
"""

import json
import sys

import hooks_pb2
from serve import serve
from xml_tree import parse, smbios_entry


def mutate_domain(request, _context):
    assert request.domain_type == "libvirt", request.domain_type
    document = parse(request.domain)
    name = json.loads(request.vmi)["metadata"]["name"]
    smbios_entry(document, "chassis", "asset", f"{name} {request.sidecar_context.invocation_context}")
    return hooks_pb2.MutateDomainResponse(domain=document.toxml("utf-8"))


serve(
    sys.argv[1],
    {
        "kubevirt.hooks.plugins.v1alpha1.DomainHookService": {
            "MutateDomain": (mutate_domain, hooks_pb2.MutateDomainRequest)
        }
    },
)
