"""The few things that hooks do with a domain, on a document that is otherwise given back as it came."""

from xml.dom import minidom


def parse(text):
    return minidom.parseString(text)


def child(parent, tag, attributes):
    """The child of `parent` with this tag and these attributes, made where there is none."""
    for node in parent.childNodes:
        if node.nodeName == tag and all(node.getAttribute(key) == value for key, value in attributes.items()):
            return node
    node = parent.appendChild(parent.ownerDocument.createElement(tag))
    for key, value in attributes.items():
        node.setAttribute(key, value)
    return node


def set_text(node, text):
    for old in list(node.childNodes):
        node.removeChild(old)
    node.appendChild(node.ownerDocument.createTextNode(text))


def smbios_entry(document, block, name, value):
    """Sets one entry of the domain's SMBIOS tables: `baseBoard`, `manufacturer`."""
    sysinfo = child(document.documentElement, "sysinfo", {"type": "smbios"})
    set_text(child(child(sysinfo, block, {}), "entry", {"name": name}), value)
