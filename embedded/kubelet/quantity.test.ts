import { expect, test } from 'vitest';
import { milli, quantity, units } from './quantity.ts';

test.each([
  ['1', 1],
  ['500m', 0.5],
  ['1Gi', 2 ** 30],
  ['1.5Ki', 1536],
  ['2e3', 2000],
  ['1k', 1000],
  ['.5', 0.5],
  ['x', Number.NaN],
  ['1Zi', Number.NaN],
])('%s', (text, value) => {
  expect(quantity(text)).toBe(value);
});

test('thousandths do not drift, units are rounded up', () => {
  expect(milli('0.1')).toBe(100);
  expect(milli('1100m')).toBe(1100);
  expect(milli('100u')).toBe(1);
  expect(units('1.2')).toBe(2);
});
