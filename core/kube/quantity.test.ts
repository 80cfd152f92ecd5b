import { describe, expect, it } from 'vitest';
import { bytesText, cpuText, millis, quantity, QUANTITY_PATTERN } from './quantity.ts';

describe('quantity', () => {
  it.each([
    ['1', 1],
    [2, 2],
    ['64Mi', 67108864],
    ['1.5Gi', 1610612736],
    ['1G', 1e9],
    ['500m', 0.5],
    ['1e3', 1000],
    ['1E', 1e18],
    ['1E3', 1000],
    ['-1Mi', -1048576],
    ['+2', 2],
    ['.5', 0.5],
    ['5.', 5],
    ['128M', 128e6],
    ['3k', 3000],
    ['1Pi', 2 ** 50],
  ])('%s is %d', (text, number) => {
    expect(quantity(text)).toBe(number);
  });

  it.each(['', 'lots', '1 Gi', '1KiB', 'Mi', '0x10', '1,5', 'NaN', 'Infinity', undefined, null, {}, [], true, NaN])(
    '%s is not a quantity',
    (value) => {
      expect(quantity(value)).toBeUndefined();
      if (typeof value === 'string') expect(new RegExp(QUANTITY_PATTERN).test(value)).toBe(false);
    },
  );

  it('rounds CPUs up to a thousandth', () => {
    expect([millis('100m'), millis('0.1'), millis('1.0001'), millis(3), millis('x')]).toEqual([
      100,
      100,
      1001,
      3000,
      undefined,
    ]);
  });

  it('writes bytes and CPUs as Kubernetes does', () => {
    expect([bytesText(2 ** 30), bytesText(1024), bytesText(1e6 + 1)]).toEqual(['1024Mi', '1Ki', '1000001']);
    expect([cpuText(1000), cpuText(100), cpuText(1500)]).toEqual(['1', '100m', '1500m']);
  });
});
