import { describe, expect, test } from 'vitest';
import type { LabelRequirement, PodConstraints, Taint, Toleration } from '../../src/base/constraints.ts';
import {
  compileNodeConstraints,
  nodeAffinityPrefilterError,
  nodeConstraintCode,
  nodeConstraintCodesInto,
} from '../../src/engine/filters/nodeConstraints.ts';
import { PredicateCode } from '../../src/engine/placement/reasons.ts';
import type { FakeNode } from './fakeView.ts';
import { fakeNodeOrder, fakeView } from './fakeView.ts';

const NODES: readonly FakeNode[] = [
  { name: 'n0', labels: { zone: 'a', cores: '8', empty: '' } },
  { name: 'n1', labels: { zone: 'b', cores: '16' } },
  { name: 'n2', labels: { cores: 'many' } },
];

/** Names of the nodes that accept the constraints. */
function accepted(spec: PodConstraints, nodes: readonly FakeNode[] = NODES): string[] {
  const view = fakeView({ nodes, pods: [{ spec }] });
  const out = new Uint8Array(nodes.length).fill(99);
  nodeConstraintCodesInto(view, compileNodeConstraints(view, 0), fakeNodeOrder(view), 0, nodes.length, out);
  for (const code of out) expect([0, PredicateCode.taint, PredicateCode.nodeAffinity]).toContain(code);
  return nodes.filter((_, i) => out[i] === 0).map((n) => n.name);
}

const byLabel = (...matchExpressions: LabelRequirement[]): PodConstraints => ({ nodeAffinityTerms: [{ matchExpressions }] });
const byName = (...matchFields: LabelRequirement[]): PodConstraints => ({ nodeAffinityTerms: [{ matchFields }] });
const name = (operator: string, ...values: string[]): LabelRequirement => ({ key: 'metadata.name', operator, values });

describe('node selector and required affinity', () => {
  const all = ['n0', 'n1', 'n2'];
  const cases: readonly [string, PodConstraints, readonly string[]][] = [
    ['nothing asked', {}, all],
    ['selector', { nodeSelector: { zone: 'a' } }, ['n0']],
    ['selector with a value nobody has', { nodeSelector: { zone: 'zz' } }, []],
    ['selector with an empty value', { nodeSelector: { empty: '' } }, ['n0']],
    ['all pairs of the selector', { nodeSelector: { zone: 'a', cores: '16' } }, []],
    ['In', byLabel({ key: 'zone', operator: 'In', values: ['b', 'c'] }), ['n1']],
    ['NotIn accepts nodes without the label', byLabel({ key: 'zone', operator: 'NotIn', values: ['a'] }), ['n1', 'n2']],
    ['NotIn of an unknown key', byLabel({ key: 'rack', operator: 'NotIn', values: ['a'] }), all],
    ['Exists', byLabel({ key: 'zone', operator: 'Exists' }), ['n0', 'n1']],
    ['DoesNotExist', byLabel({ key: 'zone', operator: 'DoesNotExist' }), ['n2']],
    ['Gt skips labels that are no numbers', byLabel({ key: 'cores', operator: 'Gt', values: ['8'] }), ['n1']],
    ['Lt is strict', byLabel({ key: 'cores', operator: 'Lt', values: ['16'] }), ['n0']],
    ['Gt against a text selects nothing', byLabel({ key: 'cores', operator: 'Gt', values: ['x'] }), []],
    ['Gt beyond 64 bits selects nothing', byLabel({ key: 'cores', operator: 'Lt', values: ['9223372036854775808'] }), []],
    ['Gt with two values selects nothing', byLabel({ key: 'cores', operator: 'Gt', values: ['1', '2'] }), []],
    ['In without values selects nothing', byLabel({ key: 'zone', operator: 'In', values: [] }), []],
    ['Exists with values selects nothing', byLabel({ key: 'zone', operator: 'Exists', values: ['a'] }), []],
    ['unknown operator selects nothing', byLabel({ key: 'zone', operator: 'Like', values: ['a'] }), []],
    [
      'requirements of a term are ANDed',
      byLabel({ key: 'zone', operator: 'Exists' }, { key: 'cores', operator: 'Gt', values: ['8'] }),
      ['n1'],
    ],
    ['no terms select nothing', { nodeAffinityTerms: [] }, []],
    ['an empty term selects nothing', { nodeAffinityTerms: [{}] }, []],
    [
      'terms are alternatives',
      {
        nodeAffinityTerms: [
          { matchFields: [name('In', 'n2')] },
          ...byLabel({ key: 'zone', operator: 'In', values: ['a'] }).nodeAffinityTerms!,
        ],
      },
      ['n0', 'n2'],
    ],
    [
      'a malformed term does not spoil the others',
      { nodeAffinityTerms: [{ matchExpressions: [{ key: 'a', operator: '?' }] }, { matchFields: [name('In', 'n1')] }] },
      ['n1'],
    ],
    ['selector AND terms', { nodeSelector: { zone: 'b' }, ...byName(name('NotIn', 'n1')) }, []],
    ['name In', byName(name('In', 'n1')), ['n1']],
    ['name NotIn', byName(name('NotIn', 'n1')), ['n0', 'n2']],
    ['name NotIn of a node that is not there', byName(name('NotIn', 'gone')), all],
    ['name In takes exactly one value', byName(name('In', 'n0', 'n1')), []],
    ['name with another operator', byName(name('Exists')), []],
    ['another field', byName({ key: 'metadata.uid', operator: 'In', values: ['u'] }), []],
    [
      'fields AND expressions',
      { nodeAffinityTerms: [{ matchFields: [name('NotIn', 'n0')], matchExpressions: [{ key: 'zone', operator: 'Exists' }] }] },
      ['n1'],
    ],
  ];
  test.each(cases)('%s', (_, spec, expected) => {
    expect(accepted(spec)).toEqual(expected);
  });
});

describe('taints', () => {
  const GPU: Taint = { key: 'gpu', value: 'true', effect: 'NoSchedule' };
  const cases: readonly [string, readonly Taint[], readonly Toleration[], boolean][] = [
    ['no toleration', [GPU], [], false],
    ['PreferNoSchedule does not count', [{ ...GPU, effect: 'PreferNoSchedule' }], [], true],
    ['NoExecute counts', [{ ...GPU, effect: 'NoExecute' }], [], false],
    ['Equal', [GPU], [{ key: 'gpu', operator: 'Equal', value: 'true', effect: 'NoSchedule' }], true],
    ['no operator means Equal', [GPU], [{ key: 'gpu', value: 'true' }], true],
    ['another value', [GPU], [{ key: 'gpu', value: 'false' }], false],
    ['absent value is empty', [{ key: 'gpu', effect: 'NoSchedule' }], [{ key: 'gpu', operator: 'Equal' }], true],
    ['Exists ignores the value', [GPU], [{ key: 'gpu', operator: 'Exists' }], true],
    ['another key', [GPU], [{ key: 'cpu', operator: 'Exists' }], false],
    ['empty key with Exists tolerates all', [GPU, { key: 'x', effect: 'NoExecute' }], [{ operator: 'Exists' }], true],
    ['another effect', [GPU], [{ key: 'gpu', operator: 'Exists', effect: 'NoExecute' }], false],
    ['empty effect is every effect', [{ ...GPU, effect: 'NoExecute' }], [{ key: 'gpu', operator: 'Exists', effect: '' }], true],
    ['every taint needs a toleration', [GPU, { key: 'x', effect: 'NoSchedule' }], [{ key: 'gpu', operator: 'Exists' }], false],
    ['Gt is not an operator here', [{ ...GPU, value: '5' }], [{ key: 'gpu', operator: 'Gt', value: '1' }], false],
  ];
  test.each(cases)('%s', (_, taints, tolerations, isAccepted) => {
    expect(accepted({ tolerations }, [{ name: 'n', taints }])).toEqual(isAccepted ? ['n'] : []);
  });

  test('are reported before affinity', () => {
    const view = fakeView({ nodes: [{ name: 'n', taints: [GPU] }], pods: [{ spec: { nodeSelector: { zone: 'a' } } }] });
    expect(nodeConstraintCode(view, compileNodeConstraints(view, 0), 0)).toBe(PredicateCode.taint);
  });
});

test('only the asked positions are written', () => {
  const view = fakeView({ nodes: NODES, pods: [{ spec: { nodeSelector: { zone: 'b' } } }] });
  const out = new Uint8Array(3).fill(99);
  nodeConstraintCodesInto(view, compileNodeConstraints(view, 0), fakeNodeOrder(view), 1, 2, out);
  expect([...out]).toEqual([99, 0, 99]);
});

test('names that exclude each other in every term are an error before any node', () => {
  const conflict = { matchFields: [name('In', 'n0'), name('In', 'n1')] };
  const text = 'pod affinity terms conflict';
  expect(nodeAffinityPrefilterError({ nodeAffinityTerms: [conflict] })).toBe(text);
  expect(nodeAffinityPrefilterError({ nodeAffinityTerms: [conflict, conflict] })).toBe(text);
  expect(nodeAffinityPrefilterError({ nodeAffinityTerms: [conflict, { matchFields: [name('In', 'n0')] }] })).toBeNull();
  expect(nodeAffinityPrefilterError({ nodeAffinityTerms: [conflict, { matchExpressions: [] }] })).toBeNull();
  expect(nodeAffinityPrefilterError({ nodeAffinityTerms: [{ matchFields: [name('In', 'a', 'b'), name('In', 'b', 'c')] }] })).toBeNull();
  expect(nodeAffinityPrefilterError({ nodeAffinityTerms: [] })).toBeNull();
  expect(nodeAffinityPrefilterError({})).toBeNull();
});
