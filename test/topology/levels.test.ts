import { expect, test } from 'vitest';
import { readTopologies, resolveConstraint, resolveLevel } from '../../src/engine/topology/levels.ts';
import { snapshot } from './cluster.ts';

const LEVELS = [
  { nodeLabel: 'l/zone', alias: 'zone' },
  { nodeLabel: 'l/row', alias: 'l/zone' },
  { nodeLabel: 'l/rack', alias: 'unit' },
  { nodeLabel: 'host', alias: 'unit' },
];

test.each([
  ['zone', 'l/zone'],
  ['l/rack', 'l/rack'],
  // Without the webhook: an alias wins over a label, of equal aliases the narrowest level; one step only.
  ['l/zone', 'l/row'],
  ['unit', 'host'],
  ['gone', 'gone'],
  ['', ''],
])('level %j means %j', (level, label) => {
  expect(resolveLevel(LEVELS, level)).toBe(label);
});

test('aliases belong to the topology that the constraint names; without topology or level there is no constraint', () => {
  const topologies = readTopologies(snapshot({ topologies: { a: [{ nodeLabel: 'x', alias: 'rack' }], b: ['rack'] }, nodes: [], jobs: [] }));
  expect(resolveConstraint(topologies, { topology: 'a', requiredTopologyLevel: 'rack' })).toEqual({
    topology: 'a',
    required: 'x',
    preferred: '',
  });
  expect(resolveConstraint(topologies, { topology: 'b', preferredTopologyLevel: 'rack' })).toEqual({
    topology: 'b',
    required: '',
    preferred: 'rack',
  });
  expect(resolveConstraint(topologies, { topology: 'c', requiredTopologyLevel: 'rack' })?.required).toBe('rack');
  expect(resolveConstraint(topologies, { topology: 'a' })).toBeNull();
  expect(resolveConstraint(topologies, { topology: '', requiredTopologyLevel: 'rack' })).toBeNull();
  expect(resolveConstraint(topologies, null)).toBeNull();
});
