/** `POST /api/v1`: what operators ask and order. */
import type { Hono } from 'hono';
import type { FacadeParts } from '../parts.ts';

export function operatorRoutes(_app: Hono, _parts: FacadeParts): void {}
