// The string and number formats that Kubernetes checks.
import { isIP, isIPv4, isIPv6 } from 'node:net';

const DURATION = /^([+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+$|^0$/;
const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const HOST = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i;
const QUANTITY = /^[+-]?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const STRINGS: Record<string, (value: string) => boolean> = {
  'date-time': (value) => DATE_TIME.test(value) && !Number.isNaN(Date.parse(value)),
  date: (value) => /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)),
  duration: (value) => DURATION.test(value),
  byte: (value) => BASE64.test(value),
  ipv4: (value) => isIPv4(value),
  ipv6: (value) => isIPv6(value),
  cidr: (value) => {
    const [address = '', bits = ''] = value.split('/');
    return isIP(address) !== 0 && /^\d+$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128);
  },
  mac: (value) => /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(value),
  uuid: (value) => /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value),
  hostname: (value) => value.length <= 255 && HOST.test(value),
  uri: (value) => URL.canParse(value),
  quantity: (value) => QUANTITY.test(value),
  email: (value) => /^[^@\s]+@[^@\s]+$/.test(value),
};

const NUMBERS: Record<string, (value: number) => boolean> = {
  int32: (value) => Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31,
  int64: (value) => Number.isInteger(value),
};

/** The name of the format that a value breaks; undefined where it keeps it, or nobody knows the format. */
export function checkFormat(value: string | number, format: string | undefined): string | undefined {
  if (format === undefined) return undefined;
  const keeps =
    typeof value === 'string'
      ? Object.hasOwn(STRINGS, format) && STRINGS[format]?.(value)
      : Object.hasOwn(NUMBERS, format) && NUMBERS[format]?.(value);
  const known = typeof value === 'string' ? Object.hasOwn(STRINGS, format) : Object.hasOwn(NUMBERS, format);
  return known && keeps !== true ? format : undefined;
}
