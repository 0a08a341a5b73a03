import { ReceivedType, RequestType } from '../../src/base/codes.ts';
import { type CycleReport, type Decision, emptySearchCounts, type JobReport } from '../../src/base/decisions.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../src/base/rows.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import type { CycleResult, CycleRunner } from '../../src/runner/cycleRunner.ts';

interface NodeRoom {
  readonly row: number;
  readonly name: string;
  readonly gpuMemoryMib: number;
  milliCpu: number;
  memoryBytes: number;
  devices: number;
  readonly sharedMilli: Map<string, number>;
}

interface Wish {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly devices: number;
  /** 0 = whole devices. */
  readonly shareMilli: number;
}

/**
 * A stand-in for the engine: jobs in order of creation and name, each pod on the first node by name that has room, gangs
 * all or nothing. It knows amounts and nothing else: no queues, no constraints. Single shares only.
 */
export function firstFitRunner(): CycleRunner {
  return { workers: 0, run: async (view) => firstFit(view), close: async () => {} };
}

function firstFit(view: SnapshotView): CycleResult {
  const { pods, podGroups, texts } = view;
  const rooms = openRooms(view);
  const byGroup = new Map<string, number[]>();
  for (let row = 0; row < pods.rows; row++) {
    if (pods.used[row] !== 1) continue;
    const node = texts.get(pods.nodeText[row]!);
    if (node !== '') {
      if (pods.phaseCode[row]! <= 1) take(rooms.find((r) => r.name === node)!, wishOf(view, row, rooms[0]!), groupsOf(view, row)[0]);
      continue;
    }
    const key = texts.get(pods.groupKeyText[row]!);
    byGroup.set(key, [...(byGroup.get(key) ?? []), row]);
  }
  const order = Array.from({ length: podGroups.rows }, (_, row) => row).filter((row) => podGroups.used[row] === 1);
  const keyOf = (row: number): string => texts.get(podGroups.keyText[row]!);
  order.sort((a, b) => podGroups.createdMs[a]! - podGroups.createdMs[b]! || (keyOf(a) < keyOf(b) ? -1 : 1));
  const decisions: Decision[] = [];
  const jobs: JobReport[] = [];
  for (const group of order) {
    const waiting = byGroup.get(keyOf(group)) ?? [];
    if (waiting.length === 0) continue;
    const trial = rooms.map((r) => ({ ...r, sharedMilli: new Map(r.sharedMilli) }));
    const placed = waiting.map((pod) => place(view, trial, pod, group)).filter((d) => d !== undefined);
    if (placed.length < Math.max(1, Math.min(waiting.length, podGroups.minMember[group]!))) {
      const message = `Resources were not found for pod ${texts.get(pods.keyText[waiting[0]!]!)} due to: 3 node(s) didn't have enough resources: GPUs.`;
      jobs.push(jobReport(group, waiting, message));
      continue;
    }
    for (const [i, room] of trial.entries()) rooms[i] = room;
    decisions.push(...placed);
    const left = waiting.filter((pod) => !placed.some((d) => d.podRow === pod));
    if (left.length > 0) jobs.push(jobReport(group, left, 'Unable to schedule podgroup'));
  }
  return {
    decisions,
    report: reportOf(jobs, decisions.length),
    cycleMs: 1,
    restarts: 0,
    faults: [],
    searchHandovers: 0,
    sharedSearches: 0,
  };
}

function jobReport(group: number, pods: readonly number[], message: string): JobReport {
  return {
    podGroupRow: group as PodGroupRow,
    state: 'unschedulable',
    message,
    errors: [{ reason: 'PodSchedulingErrors', message }],
    pods: pods.map((podRow) => ({ podRow: podRow as PodRow, message })),
    isConditionWanted: true,
  };
}

function reportOf(jobs: readonly JobReport[], bound: number): CycleReport {
  const counts = {
    bound,
    pipelined: 0,
    evicted: 0,
    jobsAttempted: jobs.length,
    jobsFailed: jobs.length,
    nodesEvaluated: 0,
    scans: 0,
    classes: 0,
  };
  return {
    jobs,
    queues: [],
    counts,
    search: emptySearchCounts(),
    searchByAction: {},
    phaseMs: { open: 0.25, allocate: 0.5, report: 0.25 },
    staleBindRequests: [],
    sameUntilMs: Number.NEGATIVE_INFINITY,
  };
}

function openRooms(view: SnapshotView): NodeRoom[] {
  const { nodes, texts } = view;
  const rooms: NodeRoom[] = [];
  for (let row = 0; row < nodes.rows; row++) {
    if (nodes.used[row] !== 1) continue;
    rooms.push({
      row,
      name: texts.get(nodes.nameText[row]!),
      gpuMemoryMib: nodes.gpuMemoryMib[row]!,
      milliCpu: nodes.allocMilliCpu[row]!,
      memoryBytes: nodes.allocMemoryBytes[row]!,
      devices: nodes.allocGpu[row]!,
      sharedMilli: new Map(),
    });
  }
  return rooms.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function wishOf({ pods, shapes }: SnapshotView, pod: number, room: NodeRoom): Wish {
  const shape = pods.shapeRow[pod]!;
  const type = shapes.typeCode[shape]!;
  const portion =
    type === RequestType.gpuMemory ? Math.ceil((shapes.gpuMemoryMib[shape]! / room.gpuMemoryMib) * 100) / 100 : shapes.gpuPortion[shape]!;
  const isShared = type === RequestType.gpuMemory || (type === RequestType.fraction && portion < 1);
  return {
    milliCpu: shapes.milliCpu[shape]!,
    memoryBytes: shapes.memoryBytes[shape]!,
    devices: shapes.gpuCount[shape]!,
    shareMilli: isShared ? Math.round(portion * 1000) : 0,
  };
}

function groupsOf(view: SnapshotView, pod: number): readonly string[] {
  const text = view.texts.get(view.pods.gpuGroupsJson[pod]!);
  return text === '' ? [] : (JSON.parse(text) as string[]);
}

function take(room: NodeRoom, wish: Wish, group: string | undefined): void {
  room.milliCpu -= wish.milliCpu;
  room.memoryBytes -= wish.memoryBytes;
  if (wish.shareMilli === 0) room.devices -= wish.devices;
  else {
    if (!room.sharedMilli.has(group!)) room.devices--;
    room.sharedMilli.set(group!, (room.sharedMilli.get(group!) ?? 0) + wish.shareMilli);
  }
}

function place(view: SnapshotView, rooms: NodeRoom[], pod: number, podGroup: number): Decision | undefined {
  for (const room of rooms) {
    const wish = wishOf(view, pod, room);
    if (wish.shareMilli > 1000 || room.milliCpu < wish.milliCpu || room.memoryBytes < wish.memoryBytes) continue;
    let group: string | undefined;
    if (wish.shareMilli > 0) {
      group = [...room.sharedMilli].find(([, used]) => used + wish.shareMilli <= 1000)?.[0];
      if (group === undefined && room.devices < 1) continue;
      group ??= `${room.name}-share-${view.pods.uidText[pod]}`;
    } else if (room.devices < wish.devices) continue;
    take(room, wish, group);
    const text = (row: number): string => view.texts.get(row);
    return {
      kind: 'bind',
      action: 'allocate',
      podRow: pod as PodRow,
      podGroupRow: podGroup as PodGroupRow,
      nodeRow: room.row as NodeRow,
      receivedType: group === undefined ? ReceivedType.regular : ReceivedType.fraction,
      gpuCount: wish.devices,
      gpuPortion: wish.shareMilli > 0 ? (wish.shareMilli / 1000).toFixed(2) : '1.00',
      gpuGroups: group === undefined ? [] : [group],
      pod: text(view.pods.keyText[pod]!),
      podUid: text(view.pods.uidText[pod]!),
      podGroup: text(view.podGroups.keyText[podGroup]!),
      node: room.name,
    };
  }
  return undefined;
}
