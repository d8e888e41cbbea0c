import { expect, it } from 'vitest';
import { byText } from '../../../shared/util/order.ts';

it('orders texts by code units, whatever the language', () => {
  expect(['b', 'ä', 'a', 'B', 'a-1', 'a', '10', '9'].sort(byText)).toEqual(['10', '9', 'B', 'a', 'a', 'a-1', 'b', 'ä']);
});
