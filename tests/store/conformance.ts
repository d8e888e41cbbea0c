/**
 * What every store has to do, whatever is behind it. An adapter conforms when this passes; a behaviour that Berth relies on
 * and that isn't here is a gap in this suite.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { present } from '../../shared/util/assert.ts';
import type { Open, Subject } from './conformance/harness.ts';
import { leasingTests } from './conformance/leasing.ts';
import { maintainingTests } from './conformance/maintaining.ts';
import { readingTests } from './conformance/reading.ts';
import { transactingTests } from './conformance/transacting.ts';
import { watchingTests } from './conformance/watching.ts';

export function storeConformance(name: string, open: Open): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<Open>> | null = null;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      await opened?.close();
    });
    const subject = (): Subject => present(opened, 'the store under test');
    describe('reading', () => readingTests(subject));
    describe('transactions', () => transactingTests(subject));
    describe('leases', () => leasingTests(subject));
    describe('maintenance', () => maintainingTests(subject));
    describe('watches and history', () => watchingTests(subject));
  });
}
