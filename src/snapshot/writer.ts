import type { ObjectProblem } from '../base/errors.ts';
import type { BindRequest, ListName, Node, OtherObject, Pod, PodGroup, Queue } from '../base/objects.ts';
import type { SnapshotOptions, SnapshotView } from '../base/snapshotView.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import { COLUMNS, type TableName } from './generated/layout.gen.ts';
import { kindOfList } from './import/kinds.ts';
import { fillSnapshot, type Layout, planLayout, type Source } from './layout.ts';
import { projectBindRequest } from './project/bindRequest.ts';
import { canonicalJson } from './project/canonicalJson.ts';
import { projectNode } from './project/node.ts';
import { DRA_LISTS, kindCodeOf, type OtherList, projectOther } from './project/others.ts';
import { projectPod } from './project/pod.ts';
import { projectPodGroup } from './project/podGroup.ts';
import { NO_USAGE, projectQueue, type QueueUsage, usageShare } from './project/queue.ts';
import { Report, textOrNull } from './project/report.ts';
import { shapeKey } from './project/request.ts';
import { type Column, type Columns, type ColumnTypes, RowIndex } from './tables/columns.ts';
import { LabelSetTable } from './tables/labelSetTable.ts';
import { InternedTable, type Pools, RecordTable } from './tables/recordTable.ts';
import { TextTable } from './tables/textTable.ts';
import { viewSnapshot } from './view.ts';

/** Keeps the tables of one cluster and seals them into snapshots. Bad input is reported, never thrown. */
export function createSnapshotWriter(options: SnapshotOptions): SnapshotWriter {
  return new TablesWriter(options);
}

const NO_PROBLEMS: readonly ObjectProblem[] = Object.freeze([]);

class TablesWriter implements SnapshotWriter {
  readonly #options: SnapshotOptions;
  readonly #texts = new TextTable();
  readonly #labelSets = new LabelSetTable(this.#texts);
  readonly #pools: Pools = {
    texts: this.#texts,
    labelSets: this.#labelSets,
    shapes: new InternedTable(COLUMNS.shapes, this.#texts, shapeKey),
    signatures: new InternedTable(COLUMNS.signatures, this.#texts, (record) => record.specJson ?? ''),
  };
  readonly #nodes = new RecordTable(COLUMNS.nodes, this.#pools, 'nameText');
  readonly #pods = new RecordTable(COLUMNS.pods, this.#pools, 'keyText');
  readonly #podGroups = new RecordTable(COLUMNS.podGroups, this.#pools, 'keyText');
  readonly #queues = new RecordTable(COLUMNS.queues, this.#pools, 'nameText');
  readonly #bindRequests = new RecordTable(COLUMNS.bindRequests, this.#pools, 'nameKeyText');
  readonly #objects = new RecordTable(COLUMNS.objects, this.#pools, 'keyText');
  readonly #tables: Readonly<Record<TableName, { readonly columns: unknown }>> = {
    texts: this.#texts,
    labelSets: this.#labelSets,
    shapes: this.#pools.shapes,
    signatures: this.#pools.signatures,
    nodes: this.#nodes,
    pods: this.#pods,
    podGroups: this.#podGroups,
    queues: this.#queues,
    bindRequests: this.#bindRequests,
    objects: this.#objects,
  };
  readonly #indexes = new Map<ListName, RowIndex>();
  readonly #usage = new Map<string, QueueUsage>();
  readonly #optionsText: number;
  #generation = 0;
  #sealedChanges = -1;
  #layout: Layout | null = null;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.#optionsText = this.#texts.acquire(canonicalJson(options));
  }

  put(list: ListName, object: unknown): readonly ObjectProblem[] {
    if (!this.#isServed(list)) return NO_PROBLEMS;
    const { kind, isNamespaced } = kindOfList(list);
    const metadata = (object as OtherObject | null | undefined)?.metadata;
    const name: unknown = metadata?.name;
    if (typeof name !== 'string' || name === '') {
      return [{ source: '', object: kind, field: 'metadata.name', message: 'missing; the object is left out' }];
    }
    const namespace = textOrNull(metadata?.namespace) ?? 'default';
    const key = isNamespaced ? `${namespace}/${name}` : name;
    const report = new Report(`${kind} ${key}`);
    try {
      this.#putObject(list, object, key, namespace, report);
    } catch (error) {
      // Projections are made before the first column is written, so the row is as it was.
      report.add('', `cannot be read: ${error instanceof Error ? error.message : String(error)}; the last readable version stays`);
    }
    return report.problems;
  }

  remove(list: ListName, key: string): void {
    this.#tableOf(list).remove(this.#indexOf(list), key);
    if (list === 'queues') this.#usage.delete(key);
  }

  setUsage(queue: string, cpu: number, memory: number, gpu: number): void {
    const usage: QueueUsage = { cpu: usageShare(cpu), memory: usageShare(memory), gpu: usageShare(gpu) };
    if (usage.cpu === 0 && usage.memory === 0 && usage.gpu === 0) this.#usage.delete(queue);
    else this.#usage.set(queue, usage);
    const row = this.#indexOf('queues').get(this.#texts.find(queue));
    if (row < 0) return;
    const { usageCpu, usageMemory, usageGpu } = this.#queues.columns.of;
    if (usageCpu[row] === usage.cpu && usageMemory[row] === usage.memory && usageGpu[row] === usage.gpu) return;
    usageCpu[row] = usage.cpu;
    usageMemory[row] = usage.memory;
    usageGpu[row] = usage.gpu;
    this.#queues.columns.changes++;
  }

  isChanged(): boolean {
    return this.#changes() !== this.#sealedChanges;
  }

  seal(reuse?: SnapshotView): SnapshotView {
    const layout = this.#currentLayout();
    const isFit = reuse !== undefined && reuse.buffer.byteLength >= layout.byteLength;
    const buffer = isFit ? reuse.buffer : new SharedArrayBuffer(layout.byteLength);
    if (this.isChanged()) this.#generation++;
    this.#sealedChanges = this.#changes();
    fillSnapshot(new Uint8Array(buffer), layout, this.#source());
    return viewSnapshot(buffer);
  }

  #putObject(list: ListName, object: unknown, key: string, namespace: string, report: Report): void {
    const options = this.#options;
    const index = this.#indexOf(list);
    switch (list) {
      case 'pods': {
        const record = projectPod(object as Pod, key, namespace, options, report);
        if (record === null) this.#pods.remove(index, key);
        else this.#pods.put(index, key, record);
        return;
      }
      case 'nodes':
        this.#nodes.put(index, key, projectNode(object as Node, key, options, report));
        return;
      case 'queues':
        this.#queues.put(index, key, projectQueue(object as Queue, key, this.#usage.get(key) ?? NO_USAGE, options, report));
        return;
      case 'podGroups':
        this.#podGroups.put(index, key, projectPodGroup(object as PodGroup, key, namespace, options, report));
        return;
      case 'bindRequests':
        this.#bindRequests.put(index, key, projectBindRequest(object as BindRequest, key, namespace, options, report));
        return;
      default:
        this.#putOther(list, object as OtherObject, key, index);
    }
  }

  #putOther(list: OtherList, object: OtherObject, key: string, index: RowIndex): void {
    this.#objects.put(index, key, { kindCode: kindCodeOf(list), keyText: key, specJson: projectOther(list, object) });
  }

  /** Kinds that the API server does not serve are not read (spec 03 sections 11.1, 11A.1). */
  #isServed(list: ListName): boolean {
    if (DRA_LISTS.has(list)) return this.#options.isDraServed;
    return list !== 'nodeResourceTopologies' || this.#options.isNodeTopologyServed;
  }

  #tableOf(list: ListName): { remove(index: RowIndex, key: string): void } {
    switch (list) {
      case 'pods':
        return this.#pods;
      case 'nodes':
        return this.#nodes;
      case 'queues':
        return this.#queues;
      case 'podGroups':
        return this.#podGroups;
      case 'bindRequests':
        return this.#bindRequests;
      default:
        return this.#objects;
    }
  }

  #indexOf(list: ListName): RowIndex {
    let index = this.#indexes.get(list);
    if (index === undefined) {
      index = new RowIndex();
      this.#indexes.set(list, index);
    }
    return index;
  }

  /** Changes of all tables that hold objects; shared rows change with those that use them. */
  #changes(): number {
    let sum = 0;
    for (const table of [this.#nodes, this.#pods, this.#podGroups, this.#queues, this.#bindRequests, this.#objects])
      sum += table.columns.changes;
    return sum;
  }

  #columnsOf(table: TableName): Columns<ColumnTypes> {
    return this.#tables[table].columns as Columns<ColumnTypes>;
  }

  /** The layout of the present capacities; they change rarely, so that snapshots can take over each other's memory. */
  #currentLayout(): Layout {
    const capacity = (table: TableName, column: string): number => this.#columnsOf(table).of[column]!.length;
    const isCurrent = this.#layout?.places.every((p) => p.count === capacity(p.table, p.column)) ?? false;
    if (this.#layout === null || !isCurrent) this.#layout = planLayout(capacity);
    return this.#layout;
  }

  #source(): Source {
    return {
      generation: this.#generation,
      optionsText: this.#optionsText,
      rows: (table) => this.#columnsOf(table).rows,
      column: (table, name) => this.#usedPart(table, name),
    };
  }

  #usedPart(table: TableName, name: string): Column {
    const columns = this.#columnsOf(table);
    const column = columns.of[name]!;
    if (name === 'bytes') return column.subarray(0, this.#texts.columns.of.bytesUsed[0]);
    if (name === 'pairs') return column.subarray(0, this.#labelSets.pairsEnd);
    return name === 'buckets' || name === 'bytesUsed' ? column : column.subarray(0, columns.rows);
  }
}
