import { LIST_NAMES } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import type { SnapshotWriter } from '../../src/base/writerPort.ts';
import { TextTable } from '../../src/snapshot/tables/textTable.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { SHAPES } from '../shapes.ts';
import type { Kernel } from './kernel.ts';

const TEXTS = 1_000;
const NODES = 1_000;

function names(): string[] {
  return Array.from({ length: TEXTS }, (_, i) => `team-${i % 7}/training-job-${i}-worker-${i % 16}`);
}

/** Names seen again, as with every update of an object: the same texts, made anew so that no hash is remembered. */
function internTexts(): () => number {
  const table = new TextTable();
  for (const name of names()) table.acquire(name);
  return () => {
    let sum = 0;
    for (let i = 0; i < TEXTS; i++) {
      const row = table.acquire(`team-${i % 7}/training-job-${i}-worker-${i % 16}`);
      sum += row;
      table.release(row);
    }
    return sum;
  };
}

function mapTexts(): () => number {
  const rows = new Map(names().map((name, row) => [name, row]));
  return () => {
    let sum = 0;
    for (let i = 0; i < TEXTS; i++) sum += rows.get(`team-${i % 7}/training-job-${i}-worker-${i % 16}`) ?? 0;
    return sum;
  };
}

function filledWriter(): SnapshotWriter {
  const shape = SHAPES.find((s) => s.name === 'scale')!;
  const objects = shape.build(NODES, shape.jobsFor(NODES));
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  for (const list of LIST_NAMES) for (const object of objects[list]) writer.put(list, object);
  return writer;
}

/** What sealing cannot be faster than: the bytes of the snapshot copied at once. */
function copyBytes(): () => number {
  const bytes = new Uint8Array(filledWriter().seal().buffer);
  const target = new Uint8Array(new SharedArrayBuffer(bytes.length));
  return () => {
    target.set(bytes);
    return target[0]!;
  };
}

function seal(): () => number {
  const writer = filledWriter();
  let view = writer.seal();
  return () => {
    view = writer.seal(view);
    return view.nodes.rows;
  };
}

export function snapshotKernels(): Kernel[] {
  const pods = SHAPES.find((s) => s.name === 'scale')!.jobsFor(NODES);
  return [
    { group: 'text', name: 'Map', per: 'known text', operations: TEXTS, prepare: mapTexts },
    { group: 'text', name: 'text table', per: 'known text', operations: TEXTS, prepare: internTexts },
    { group: 'seal', name: 'copy of the bytes', per: 'pod', operations: pods, prepare: copyBytes },
    { group: 'seal', name: 'seal', per: 'pod', operations: pods, prepare: seal },
  ];
}
