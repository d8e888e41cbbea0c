/**
 * The door for frameworks and tools that speak the HTTP API of Apache Mesos. It translates, in both directions, and decides nothing:
 * what may be done and what is done is up to the same use cases that the native API calls.
 */
import { Hono } from 'hono';
import { Turns } from './http/json-pieces.ts';
import { operatorRoutes } from './operator/routes.ts';
import { unversionedRoutes } from './operator/unversioned.ts';
import type { FacadeParts } from './parts.ts';
import { schedulerRoutes } from './scheduler/routes.ts';
import { stateRoutes } from './state/routes.ts';

export function createMesosFacade(parts: FacadeParts): Hono {
  const app = new Hono();
  const turns = new Turns(parts.ctx.clock);
  schedulerRoutes(app, parts);
  operatorRoutes(app, parts, turns);
  unversionedRoutes(app, parts);
  stateRoutes(app, parts, turns);
  return app;
}
