/** What tools read: `/master/state` and its like. */
import type { Hono } from 'hono';
import type { FacadeParts } from '../parts.ts';

export function stateRoutes(_app: Hono, _parts: FacadeParts): void {}
