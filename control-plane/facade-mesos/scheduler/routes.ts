/** `POST /api/v1/scheduler`: how frameworks subscribe, what they are told and what they call. */
import type { Hono } from 'hono';
import type { FacadeParts } from '../parts.ts';

export function schedulerRoutes(_app: Hono, _parts: FacadeParts): void {}
