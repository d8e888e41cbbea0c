import { expect, it } from 'vitest';
import { parseProcesses, refusals } from '../../../control-plane/balancer/haproxy-answers.ts';

it('tells the worker that serves from those before it', () => {
  const text = `#<PID>          <type>          <reloads>       <uptime>        <version>
5774            master          2 [failed: 1]   0d00h00m04s     2.6.12-1+deb12u3
# workers
6000            worker          0               0d00h00m01s     2.6.12-1+deb12u3
# old workers
5777            worker          2               0d00h00m03s     2.6.12-1+deb12u3
5778            worker          1               0d00h00m02s     2.6.12-1+deb12u3
# programs

`;
  expect(parseProcesses(text)).toEqual({ master: 5774, worker: 6000, oldWorkers: [5777, 5778], failedReloads: 1 });
  expect(parseProcesses('')).toEqual({ master: null, worker: null, oldWorkers: [], failedReloads: 0 });
});

it('tells what was done from what was refused', () => {
  const done = "no need to change the addr, port changed from '1' to '19001' by 'stats socket command'\n\n\n";
  const moved = "IP changed from '127.0.0.1' to '10.0.0.1' by 'stats socket command', no need to change the port\n";
  expect(refusals(done + moved)).toEqual([]);
  expect(refusals(`${done}No such server.\n\n`)).toEqual(['No such server.']);
});
