// Kubernetes' rules for names and labels; each gives the words Kubernetes has for what is wrong.

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_MAX = 63;
const SUBDOMAIN_MAX = 253;

export function dnsLabelProblem(text: string): string | undefined {
  if (text.length > LABEL_MAX) return `must be no more than ${LABEL_MAX} characters`;
  if (LABEL.test(text)) return undefined;
  return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
}

export function dnsSubdomainProblem(text: string): string | undefined {
  if (text.length > SUBDOMAIN_MAX) return `must be no more than ${SUBDOMAIN_MAX} characters`;
  if (SUBDOMAIN.test(text)) return undefined;
  return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
}

/** Nothing is wrong with what is no text: that the schema says. */
export function labelKeyProblem(key: unknown): string | undefined {
  if (typeof key !== 'string') return undefined;
  const parts = key.split('/');
  const [prefix, name] = parts.length === 1 ? [undefined, key] : parts;
  if (parts.length > 2) return 'a qualified name has at most one "/"';
  if (prefix !== undefined && dnsSubdomainProblem(prefix)) return `prefix part ${dnsSubdomainProblem(prefix)}`;
  if (name === undefined || name.length > LABEL_MAX || !QUALIFIED.test(name)) {
    return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  }
  return undefined;
}

export function labelValueProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '' || (value.length <= LABEL_MAX && QUALIFIED.test(value)))
    return undefined;
  return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
}
