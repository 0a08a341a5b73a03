import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ABSENT } from '../../src/engine/filters/labels.ts';
import { areaOf, nodeSetOf } from '../../src/engine/topology/area.ts';
import { ancestorAt, buildDomainTree, type DomainTree, domainName, nodesOf, ROOT } from '../../src/engine/topology/domainTree.ts';

const TEXTS = ['', 'a', 'a.b', 'b', 'c', 'b.c'];

/** Labels of each node by level: a number of TEXTS, or null = the node lacks the label. */
type Labels = readonly (readonly (number | null)[])[];

function build(levels: number, labels: Labels): DomainTree {
  const names = Array.from({ length: levels }, (_, k) => `level-${k}`);
  return buildDomainTree('t', names, labels.length, { row: (level, node) => labels[node]![level] ?? ABSENT, text: (row) => TEXTS[row]! });
}

const node = (...texts: readonly string[]): number[] => texts.map((text) => TEXTS.indexOf(text));

describe('domain tree', () => {
  test('identity is by level, whatever the joined names', () => {
    const tree = build(2, [node('a.b', 'c'), node('a', 'b.c'), node('a', 'b.c'), node('a', 'c'), [1, null]]);
    const leaves = Array.from(tree.domainAt[2]!);
    expect(leaves[0]).not.toBe(leaves[1]);
    expect(leaves[1]).toBe(leaves[2]);
    expect(leaves[4]).toBe(-1);
    expect([leaves[0]!, leaves[1]!].map((domain) => domainName(tree, domain))).toEqual(['a.b.c', 'a.b.c']);
    expect(domainName(tree, ROOT)).toBe('root');
    expect([...nodesOf(tree, ROOT)]).toEqual([0, 1, 2, 3]);
    expect([...nodesOf(tree, ancestorAt(tree, leaves[1]!, 1))]).toEqual([1, 2, 3]);
  });

  test('no level, no node', () => {
    expect([...nodesOf(build(0, [[], []]), ROOT)]).toEqual([0, 1]);
    expect(nodesOf(build(2, []), ROOT).length).toBe(0);
  });

  const randomLabels = fc.integer({ min: 1, max: 3 }).chain((levels) =>
    fc.record({
      levels: fc.constant(levels),
      labels: fc.array(
        fc.array(fc.oneof({ weight: 15, arbitrary: fc.integer({ min: 0, max: 5 }) }, { weight: 1, arbitrary: fc.constant(null) }), {
          minLength: levels,
          maxLength: levels,
        }),
        { maxLength: 14 },
      ),
    }),
  );

  test('agrees with a plain map of value lists', () => {
    fc.assert(
      fc.property(randomLabels, ({ levels, labels }) => {
        const tree = build(levels, labels);
        const plain = new Map<string, number[]>();
        labels.forEach((row, n) => {
          if (row.includes(null)) return;
          for (let depth = 0; depth <= levels; depth++) {
            const key = JSON.stringify(row.slice(0, depth).map((text) => TEXTS[text!]));
            plain.set(key, [...(plain.get(key) ?? []), n]);
          }
        });
        if (plain.size === 0) plain.set('[]', []);
        const found = new Map<string, number[]>();
        for (let domain = 0; domain < tree.count; domain++) {
          const values: string[] = [];
          for (let at = domain; at !== ROOT; at = tree.parent[at]!) values.unshift(tree.value[at]!);
          expect(values).toHaveLength(tree.depth[domain]!);
          found.set(JSON.stringify(values), [...nodesOf(tree, domain)]);
          const children = Array.from({ length: tree.childCount[domain]! }, (_, k) => tree.firstChild[domain]! + k);
          expect(children.every((child) => tree.parent[child] === domain)).toBe(true);
          expect(children.map((child) => tree.value[child]!)).toEqual(children.map((child) => tree.value[child]!).sort());
        }
        expect(found).toEqual(plain);
      }),
      { seed: 6, numRuns: 300 },
    );
  });

  test('the area of a whole domain is found without looking at its nodes', () => {
    fc.assert(
      fc.property(randomLabels, fc.nat(), fc.integer({ min: 1, max: 3 }), ({ levels, labels }, pick, depth) => {
        const tree = build(levels, labels);
        const domain = pick % tree.count;
        const stop = Math.min(depth, levels);
        const nodes = nodesOf(tree, domain);
        const whole = areaOf(tree, { nodes, tree, domain }, stop);
        const plain = areaOf(tree, { nodes, tree: null, domain: 0 }, stop);
        expect({ ...whole, nodes: [...whole.nodes] }).toEqual({ ...plain, nodes: [...plain.nodes] });
        for (let below = 0; below < tree.count; below++) {
          if (tree.depth[below]! < tree.depth[whole.domain]! || ancestorAt(tree, below, tree.depth[whole.domain]!) !== whole.domain)
            continue;
          const set = nodeSetOf(tree, whole, below);
          expect([...set.nodes]).toEqual([...nodesOf(tree, below)].filter((n) => nodes.includes(n)));
          if (set.tree !== null) expect(set.nodes.length).toBe(tree.size[below]);
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test('the walk stops at the given depth, at an empty value and where nodes part', () => {
    const same = build(3, [node('a', 'b', 'c'), node('a', 'b', 'c')]);
    expect([1, 2, 3].map((stop) => same.depth[areaOf(same, null, stop).domain])).toEqual([1, 2, 3]);
    const empty = build(2, [node('', 'b')]);
    expect(areaOf(empty, null, 2).domain).toBe(ROOT);
    const parted = build(2, [node('a', 'b'), node('a', 'c')]);
    expect(parted.depth[areaOf(parted, null, 2).domain]).toBe(1);
  });
});
