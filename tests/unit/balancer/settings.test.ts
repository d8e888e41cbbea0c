import { expect, it } from 'vitest';
import { bindText, listenText, parseListenAddress } from '../../../control-plane/balancer/settings.ts';

it.each([
  [':80', { host: '', port: 80 }, ':::80 v4v6'],
  ['10.0.0.1:8080', { host: '10.0.0.1', port: 8080 }, '10.0.0.1:8080'],
  ['[::1]:65535', { host: '::1', port: 65_535 }, '[::1]:65535'],
])('%s is an address to listen on', (text, address, bind) => {
  expect(parseListenAddress(text)).toEqual(address);
  expect(listenText(address)).toBe(text);
  expect(bindText(address)).toBe(bind);
});

it.each(['', '80', ':0', ':65536', '::1:80', '[x]:80', 'a b:1x'])('%j is none', (text) => {
  expect(parseListenAddress(text)).toBeNull();
});
