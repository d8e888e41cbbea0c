import { expect, it } from 'vitest';
import { aFramework, aGroup, aJob, aNode, aTask, type ClusterLiteral, T0 } from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';
import { dnsRecords } from './mesos-dns.ts';
import { stateOf } from './shown-state.ts';

const MINE = 'f000000000001';
const ports = [
  { name: 'http', containerPort: 80, protocol: 'tcp' as const },
  { name: 'stats', protocol: 'udp' as const },
];
const web = aJob({ spec: { name: 'web', groups: [aGroup({ ports })] } });
const shop = aJob({ spec: { name: 'shop', role: 'eng/ml', groups: [aGroup({ name: 'db' }), aGroup({ name: 'ui' })] } });
const stop = { atMs: T0, by: 'alice', reason: 'enough' };

const cluster: ClusterLiteral = {
  nodes: [
    aNode({ id: 'n1', attributes: { ip: '10.0.0.1' } }),
    aNode({ id: 'n2', hostname: '10.0.0.2' }),
    aNode({ id: 'n3' }),
  ],
  epochs: { n3: { epoch: 1, unreachableSinceMs: T0 } },
  dead: ['n3'],
  jobs: [web, shop],
  frameworks: [
    aFramework({ name: 'painter' }),
    aFramework({ id: 'f000000000002', name: 'other', teardown: { atMs: T0, by: 'alice', reason: '' } }),
  ],
  tasks: [
    aTask(web, { state: 'running', node: 'n1', ports: { http: 31_000, stats: 31_002 } }),
    aTask(web, { index: 1, state: 'running', node: 'n2', ports: { http: 31_000, stats: 31_001 } }),
    aTask(web, { index: 2, state: 'running', node: 'n3' }),
    aTask(web, { index: 3, state: 'running', node: 'n1', stop }),
    aTask(web, { index: 4, state: 'staging', node: 'n1' }),
    aTask(web, { index: 5, state: 'finished', node: 'n1' }),
    aTask(shop, { group: 'db', state: 'running', node: 'n1' }),
    launchedTask(MINE, 'Brush_1', { state: 'running', node: 'n2', ports: { p: 31_009 } }),
  ],
};

it('mesos-dns finds what runs, at addresses that lead there', () => {
  expect(dnsRecords(stateOf(cluster))).toEqual({
    leader: '10.0.0.9',
    a: {
      'berth.mesos': ['10.0.0.9'],
      'web.berth.mesos': ['10.0.0.1', '10.0.0.2'],
      'db-shop-ml-eng.berth.mesos': ['10.0.0.1'],
      'brush-1.painter.mesos': ['10.0.0.2'],
      'Brush_1.painter.mesos': ['10.0.0.2'],
    },
    srv: {
      '_web._tcp.berth.mesos': ['web.berth.mesos:31000', 'web.berth.mesos:31002', 'web.berth.mesos:31001'],
      '_http._web._tcp.berth.mesos': ['web.berth.mesos:31000'],
      '_stats._web._udp.berth.mesos': ['web.berth.mesos:31002', 'web.berth.mesos:31001'],
      '_brush-1._tcp.painter.mesos': ['brush-1.painter.mesos:31009'],
      '_p._brush-1._tcp.painter.mesos': ['brush-1.painter.mesos:31009'],
    },
  });
});

it('mesos-dns takes a cluster with nothing in it', () => {
  expect(dnsRecords(stateOf({}))).toEqual({ leader: '10.0.0.9', a: { 'berth.mesos': ['10.0.0.9'] }, srv: {} });
});

it.each(['berth', 'Berth', 'ber!th', '-berth.', '_.berth', 'web.berth'])(
  'a framework named %s gets none of the names of jobs',
  (name) => {
    const annotations = { mesos: JSON.stringify({ info: { name, user: 'root', hostname: '10.6.6.6' } }) };
    const tasks = [launchedTask(MINE, 'web', { state: 'running', node: 'n1' })];
    const state = stateOf({ nodes: [aNode({ id: 'n1' })], frameworks: [aFramework({ annotations })], tasks });
    const names = Object.keys(dnsRecords(state).a);
    expect(names.filter((record) => /(^|\.)berth\.mesos$/.test(record))).toEqual(['berth.mesos']);
    expect(names).toHaveLength(3);
  },
);
