import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../../src/base/snapshotView.ts';
import type { SnapshotWriter } from '../../src/base/writerPort.ts';
import { contentOf } from '../../src/snapshot/describe.ts';
import { snapshotStats } from '../../src/snapshot/stats.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { apply, edits, survivors } from './edits.ts';
import { container, pod, textProblems } from './objects.ts';

const SEED = 20260102;
const newWriter = (): SnapshotWriter => createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
/** Of an empty snapshot: the options. */
const EMPTY = { texts: 1, labelSets: 0, shapes: 0, signatures: 0 };

function usedBytes(view: SnapshotView): Uint8Array {
  return new Uint8Array(view.buffer);
}

describe('edits', () => {
  it('give the content of a fresh writer that saw only what is left', () => {
    fc.assert(
      fc.property(edits, fc.nat(79), (sequence, pause) => {
        const writer = newWriter();
        let early: SnapshotView | undefined;
        sequence.forEach((e, i) => {
          apply(writer, e);
          if (i === pause) early = writer.seal();
        });
        const before = early === undefined ? null : contentOf(early);
        const view = writer.seal();
        const content = contentOf(view);
        const fresh = newWriter();
        for (const e of survivors(sequence).reverse()) apply(fresh, e);
        expect(content).toEqual(contentOf(fresh.seal()));
        expect(textProblems(view, content.interned.texts)).toEqual([]);
        // What was sealed earlier does not change any more; its memory can be taken over.
        if (early !== undefined) {
          expect(contentOf(early)).toEqual(before);
          expect(contentOf(writer.seal(early))).toEqual(content);
        }
      }),
      { seed: SEED, numRuns: 250 },
    );
  });

  it('the same edits give the same bytes, and an object put again changes nothing', () => {
    fc.assert(
      fc.property(edits, (sequence) => {
        const [a, b] = [newWriter(), newWriter()];
        for (const e of sequence) {
          apply(a, e);
          apply(b, e);
        }
        for (const e of survivors(sequence)) apply(b, e);
        const [left, right] = [a.seal(), b.seal()];
        expect(contentOf(left)).toEqual(contentOf(right));
        expect(left.pods.keyText).toEqual(right.pods.keyText);
        expect(left.pods.shapeRow).toEqual(right.pods.shapeRow);
        const c = newWriter();
        for (const e of sequence) apply(c, e);
        expect(Buffer.compare(usedBytes(left), usedBytes(c.seal()))).toBe(0);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it('removing everything gives everything back', () => {
    fc.assert(
      fc.property(edits, (sequence) => {
        const writer = newWriter();
        for (const e of sequence) apply(writer, e);
        for (const e of survivors(sequence)) {
          if (e.op === 'put') writer.remove(e.list, e.key);
          else apply(writer, { ...e, gpu: 0 } as typeof e);
        }
        const content = contentOf(writer.seal());
        expect(content.interned).toEqual(EMPTY);
        expect([content.pods, content.nodes, content.queues, content.podGroups, content.bindRequests, content.objects].flat()).toEqual([]);
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  it('50 rounds of other objects need no more memory than the first two', () => {
    const writer = newWriter();
    let view: SnapshotView | undefined;
    const sizes: number[] = [];
    for (let round = 0; round < 50; round++) {
      const names = Array.from({ length: 300 }, (_, i) => `r${round}-${i}`);
      for (const name of names) {
        const metadata = { name, uid: `uid-of-${name}`.padEnd(60, '-'), labels: { job: name, round: `${round}` } };
        writer.put(
          'pods',
          pod({ containers: [container({ cpu: `${1 + round}`, 'rdma/hca': name.length })], nodeSelector: { name } }, { metadata }),
        );
        writer.put('nodes', { metadata, status: { allocatable: { cpu: '1' } } });
      }
      view = writer.seal(view);
      sizes.push(view.buffer.byteLength);
      for (const name of names) {
        writer.remove('pods', `default/${name}`);
        writer.remove('nodes', name);
        writer.remove('pods', `ns/${name}`);
      }
    }
    expect(new Set(sizes.slice(2)).size).toBe(1);
    expect(sizes.at(-1)).toBe(sizes[1]);
    const content = contentOf(writer.seal());
    expect(content.pods).toEqual([]);
    expect(content.interned).toEqual(EMPTY);
  });
});

describe('sealing', () => {
  it('counts generations, takes over memory that is large enough, leaves smaller alone', () => {
    const writer = newWriter();
    const first = writer.seal();
    writer.put('nodes', { metadata: { name: 'node-0' } });
    const second = writer.seal(first);
    expect([first.generation, second.generation, second.buffer === first.buffer]).toEqual([1, 2, true]);
    for (let i = 0; i < 1000; i++) writer.put('nodes', { metadata: { name: `node-${i}` } });
    const third = writer.seal(second);
    expect(third.buffer === second.buffer).toBe(false);
    expect([contentOf(second).nodes.length, contentOf(third).nodes.length]).toEqual([1, 1000]);
  });

  it('tells whether anything changed: never silent about a change, and silent about objects that are put again', () => {
    let quiet = 0;
    fc.assert(
      fc.property(edits, edits, (before, after) => {
        const writer = newWriter();
        for (const e of before) apply(writer, e);
        let content = contentOf(writer.seal());
        let { generation } = writer.seal();
        expect(writer.isChanged()).toBe(false);
        for (const e of after) {
          apply(writer, e);
          const isChanged = writer.isChanged();
          if (!isChanged) quiet++;
          const view = writer.seal();
          if (!isChanged) expect(contentOf(view)).toEqual(content);
          expect(view.generation).toBe(isChanged ? generation + 1 : generation);
          apply(writer, e);
          expect(writer.isChanged()).toBe(false);
          content = contentOf(view);
          generation = view.generation;
        }
      }),
      { seed: SEED, numRuns: 60 },
    );
    expect(quiet).toBeGreaterThan(10);
  });

  it('reads the same in another thread', async () => {
    const writer = newWriter();
    writer.put('nodes', { metadata: { name: 'n1', labels: { a: 'b' } }, status: { allocatable: { cpu: '2' } } });
    const view = writer.seal();
    const worker = new Worker(new URL('./viewWorker.ts', import.meta.url), { workerData: view.buffer });
    const content = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
    expect(content).toEqual(contentOf(view));
  });

  it('rewrites a pod that gets a node in place', () => {
    const writer = newWriter();
    writer.put('pods', pod({ containers: [container({ cpu: '1' })] }));
    const before = writer.seal();
    writer.put('pods', pod({ containers: [container({ cpu: '1' })], nodeName: 'n1' }));
    const after = writer.seal();
    expect(after.pods.rows).toBe(1);
    expect([after.pods.shapeRow[0], after.pods.keyText[0]]).toEqual([before.pods.shapeRow[0], before.pods.keyText[0]]);
    expect([before.pods.nodeText[0], after.texts.get(after.pods.nodeText[0]!)]).toEqual([-1, 'n1']);
  });

  it('usage given before its queue arrives is there with it, and ends with it', () => {
    const writer = newWriter();
    writer.setUsage('q', 0.1, Number.NaN, 0.5);
    writer.put('queues', { metadata: { name: 'q' } });
    expect(contentOf(writer.seal()).queues[0]).toMatchObject({ usageCpu: 0.1, usageMemory: 0, usageGpu: 0.5 });
    writer.setUsage('q', 0, 0, 0.25);
    expect(contentOf(writer.seal()).queues[0]).toMatchObject({ usageCpu: 0, usageGpu: 0.25 });
    writer.remove('queues', 'q');
    writer.put('queues', { metadata: { name: 'q' } });
    expect(contentOf(writer.seal()).queues[0]).toMatchObject({ usageGpu: 0 });
  });
});

describe('bad input', () => {
  it('is reported, never thrown, and leaves no trace', () => {
    const json = fc.jsonValue({ maxDepth: 4 });
    const fields = (names: readonly string[]) => fc.record(Object.fromEntries(names.map((name) => [name, json])), { requiredKeys: [] });
    const metadata = fields(['uid', 'labels', 'annotations', 'creationTimestamp', 'deletionTimestamp', 'ownerReferences']);
    const podSpec = fields([
      'nodeName',
      'schedulerName',
      'containers',
      'initContainers',
      'overhead',
      'affinity',
      'tolerations',
      'volumes',
      'resourceClaims',
    ]);
    const otherSpec = fields([
      'queue',
      'parentQueue',
      'displayName',
      'priority',
      'resources',
      'subGroups',
      'minMember',
      'podName',
      'selectedNode',
      'devices',
    ]);
    const status = fields(['phase', 'conditions', 'allocatable', 'schedulingConditions', 'allocation', 'nominatedNodeName']);
    const object = fc.record({
      metadata: metadata.map((m) => ({ ...m, name: 'x' })),
      spec: fc.oneof(json, podSpec, otherSpec),
      status: fc.oneof(json, status),
    });
    fc.assert(
      fc.property(
        fc.constantFrom('pods', 'nodes', 'queues', 'podGroups', 'bindRequests', 'resourceClaims' as const),
        fc.oneof(json, object),
        (list, value) => {
          const writer = newWriter();
          const prefix = list === 'nodes' || list === 'queues' ? '' : 'default/';
          writer.put(list, value);
          writer.put(list, { metadata: { name: 'ok' } });
          writer.remove(list, `${prefix}x`);
          writer.remove(list, `${prefix}ok`);
          const view = writer.seal();
          const { interned } = contentOf(view);
          expect(interned).toEqual(EMPTY);
          expect(textProblems(view, interned.texts)).toEqual([]);
        },
      ),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('names the object and says what was done', () => {
    const writer = newWriter();
    expect(writer.put('pods', { spec: {} })).toEqual([
      { source: '', object: 'Pod', field: 'metadata.name', message: 'missing; the object is left out' },
    ]);
    expect(writer.put('pods', null)).toHaveLength(1);
    writer.put('nodes', { metadata: { name: 'n' }, status: { allocatable: { cpu: '4' } } });
    const [problem] = writer.put('nodes', { metadata: { name: 'n' }, status: { conditions: 5 } });
    expect(problem).toMatchObject({ object: 'Node n', message: expect.stringContaining('the last readable version stays') as string });
    expect(contentOf(writer.seal()).nodes[0]).toMatchObject({ allocMilliCpu: 4000 });
    const [label] = writer.put('nodes', { metadata: { name: 'n', labels: { a: 1, b: 'c' } } });
    expect(label).toMatchObject({ object: 'Node n', field: 'metadata.labels[a]' });
    expect(contentOf(writer.seal()).nodes[0]).toMatchObject({ labelSet: { b: 'c' }, allocMilliCpu: 0 });
  });
});

describe('statistics', () => {
  it('count rows in use and charge shared texts once', () => {
    const writer = newWriter();
    for (let i = 0; i < 100; i++) writer.put('nodes', { metadata: { name: `node-${i}`, labels: { zone: 'z' } } });
    for (let i = 0; i < 1000; i++)
      writer.put('pods', pod({ nodeName: `node-${i % 100}` }, { metadata: { name: `p${i}`, uid: `uid-${i}` } }));
    writer.remove('pods', 'ns/p7');
    const view = writer.seal();
    const stats = snapshotStats(view);
    const rows = Object.fromEntries(stats.tables.map((t) => [t.table, t.rows]));
    expect(rows).toMatchObject({ nodes: 100, pods: 999, shapes: 1, signatures: 1, labelSets: 2 });
    expect(stats.usedBytes).toBeLessThanOrEqual(stats.bufferBytes);
    // All that nodes and pods bring along is in the tables: no byte is counted twice.
    expect(100 * stats.bytesPerNode + 999 * stats.bytesPerPod).toBeLessThanOrEqual(stats.usedBytes);
    expect(100 * stats.bytesPerNode + 999 * stats.bytesPerPod).toBeGreaterThan(0.95 * stats.usedBytes);
  });
});
