import { NODE_NOT_USABLE, NodeFlag, PodFlag, SignatureFlag } from '../../base/codes.ts';
import type { SchedulerConfig } from '../../base/config.ts';
import { emptySearchCounts } from '../../base/decisions.ts';
import type { JobFault } from '../../base/jobFault.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { openDra } from '../dra/session.ts';
import { ConfigMapIndex } from '../filters/configMaps.ts';
import { CsiStorageLedger } from '../filters/csiStorage.ts';
import { HostPortIndex } from '../filters/hostPorts.ts';
import { PodAffinityIndex } from '../filters/podAffinity.ts';
import { VolumeFilter } from '../filters/volumes.ts';
import { openNuma, type PodOnNode } from '../numa/session.ts';
import type { SearchPort } from '../parallel.ts';
import { createClassIndex } from '../placement/classIndex.ts';
import type { Evaluator } from '../placement/evaluate.ts';
import { createFragmentation } from '../placement/gpuWaste.ts';
import { nodeMaxima } from '../placement/prepredicates.ts';
import { migGpusOf, type Request, readRequest } from '../placement/requests.ts';
import { divideAll } from '../queues/fairShare.ts';
import { addJobError } from '../report/jobErrors.ts';
import { createJournal } from '../state/journal.ts';
import { createState, STATE_MAGIC, type StateSizes, TASK_CELL } from '../state/layout.ts';
import { createGroup } from '../state/ledger.ts';
import { readTopologies } from '../topology/levels.ts';
import { TopologySession } from '../topology/session.ts';
import { openSafety } from '../victims/safety.ts';
import { demandGpuMilli, demandOfQueue } from './demand.ts';
import { chargeQueues, countStatus, occupyAtOpen, requestOf, taskCell } from './occupy.ts';
import { openJobs } from './openJobs.ts';
import { fillNodes, gpuMemoryRange, listDims, listNodes } from './openNodes.ts';
import { openQueues } from './openQueues.ts';
import { openTasks, type TaskList } from './openTasks.ts';
import { type PluginSet, readMinRuntime, readPlugins, readPolicies } from './plugins.ts';
import type { Session } from './session.ts';
import { ACTIVE_ALLOCATED, ACTIVE_USED, ALLOCATED, isIn, Status } from './status.ts';
import { createTurns } from './turns.ts';

/** Classes kept current at once; one more slot is scratch for tasks with claims. */
const MAX_SLOTS = 97;
/** Words of the state's header that the cycle itself uses. */
export const STATE_HEADER = { magic: 0, isGpuMapped: 8 } as const;

/** A pod opens groups anew each time it is moved; beyond this many moves of all pods a new device counts as not free. */
const MOVES_PER_DEVICE = 4;

/** Upper bounds of the state's sizes, from row counts alone: the runner allocates before the cycle opens. */
export function sizesOf(view: SnapshotView): StateSizes {
  const count = (used: Uint8Array, rows: number): number => {
    let n = 0;
    for (let row = 0; row < rows; row++) n += used[row]!;
    return n;
  };
  let podSets = 0;
  const g = view.podGroups;
  for (let row = 0; row < g.rows; row++) {
    if (g.used[row] === 1)
      podSets += g.subGroupsJson[row] === NO_ROW ? 1 : 1 + (JSON.parse(view.texts.get(g.subGroupsJson[row]!)) as unknown[]).length;
  }
  let devices = 0;
  const p = view.pods;
  for (let row = 0; row < p.rows; row++) {
    if (p.used[row] !== 1) continue;
    const shape = p.shapeRow[row]!;
    if (shape !== NO_ROW && view.shapes.typeCode[shape]! !== 0) devices += Math.max(1, Math.min(view.shapes.gpuCount[shape]!, 64));
  }
  const nodes = count(view.nodes.used, view.nodes.rows);
  const classes = count(view.shapes.used, view.shapes.rows) * Math.max(1, count(view.signatures.used, view.signatures.rows));
  const groups = MOVES_PER_DEVICE * devices + 1;
  return {
    nodes,
    dims: listDims(view).length,
    groups,
    queues: count(view.queues.used, view.queues.rows) + 1,
    podSets,
    pods: p.rows,
    slots: Math.min(MAX_SLOTS, classes + 1),
  };
}

/** Opens a cycle on a snapshot: joins, ledgers, queue sums, fair shares (spec 03 section 1.3, 02 sections 2.9, 6.2). */
export function openSession(
  view: SnapshotView,
  config: SchedulerConfig,
  nowMs: number,
  buffer: SharedArrayBuffer,
  port: SearchPort,
  faults: readonly JobFault[] = [],
): Session {
  const plugins = readPlugins(config);
  const policies = readPolicies(config, plugins);
  const nodes = listNodes(view, config);
  const dimNames = listDims(view);
  const { queues, ofText: queueOfText } = openQueues(view, config, nowMs);
  const topologies = readTopologies(view);
  const list = openJobs(view, config, queueOfText, topologies);
  const bounds = sizesOf(view);
  const state = createState(buffer, {
    ...bounds,
    nodes: nodes.rows.length,
    dims: dimNames.length,
    queues: queues.count,
    podSets: list.setJob.length,
  });
  const dra = openDra(view, { queueLabelKey: config.params.queueLabelKey, celCacheEntries: celCacheEntries(plugins) });
  fillNodes(view, state, nodes, dimNames, dra);
  const nodeOfText = new Int32Array(view.texts.capacity).fill(-1);
  for (let n = 0; n < nodes.rows.length; n++) nodeOfText[view.nodes.nameText[nodes.rows[n]!]!] = n;
  const opened = openTasks(view, config, nowMs, list, nodeOfText);
  const journal = createJournal(state.cells);
  const dimOf = new Map(dimNames.map((name, d) => [name, d] as const));
  const evaluator: Evaluator = {
    state,
    policies,
    isGpuClassMapped: dra.classOfResource('nvidia.com/gpu') !== null || dra.classOfResource('amd.com/gpu') !== null,
    delegatedDims: Uint8Array.from(dimNames, (name) => (dra.classOfResource(name) === null ? 0 : 1)),
    fragmentation: policies.fragmentation ? createFragmentation(view, state, policies.predicates) : null,
  };
  const counts = { bound: 0, pipelined: 0, evicted: 0, jobsAttempted: 0, jobsFailed: 0, nodesEvaluated: 0, scans: 0, classes: 0 };
  const requests: (Request | undefined)[] = [];
  const gpuRange = gpuMemoryRange(state);
  const session: Session = {
    view,
    config,
    nowMs,
    plugins,
    policies,
    state,
    journal,
    nodeName: nodes.names,
    nodeOfText,
    dimNames,
    migGpusOfDim: Int32Array.from(dimNames, migGpusOf),
    jobOfText: list.ofText,
    queues,
    jobs: list.jobs,
    podSets: opened.podSets,
    tasks: opened.tasks,
    groupNames: [],
    groupOfName: new Map(),
    legacyMigNode: new Map<number, number>(),
    minRuntime: readMinRuntime(plugins),
    minGpuMib: gpuRange.min,
    maxGpuMib: gpuRange.max,
    maxima: nodeMaxima({ state }),
    request: (shapeRow) => (requests[shapeRow] ??= readRequest(view, shapeRow, (name) => dimOf.get(name) ?? -1)),
    evaluator,
    classes: createClassIndex(view, evaluator, journal, port, counts),
    port,
    dra,
    hasPodAffinity: hasSignature(view, SignatureFlag.podAffinity | SignatureFlag.preferredPodAffinity),
    affinity: new PodAffinityIndex(view, state.facts.row, { scorePreferred: policies.podAffinity }),
    ports: new HostPortIndex(view, nodes.rows.length),
    volumes: new VolumeFilter(view),
    csi: config.params.scheduleCsiStorage ? new CsiStorageLedger(view, state.facts.row) : null,
    configMaps: new ConfigMapIndex(view),
    topology: new TopologySession(plugins.has('topology'), topologies, view, evaluator, journal),
    numa: plugins.has('numa')
      ? openNuma({ view, evaluator, journal, nodeOfText, dimNames, argument: (key) => plugins.argument('numa', key) })
      : null,
    errors: { task: new Map(), job: new Map() },
    counts,
    started: new Set(),
    evicted: new Map(),
    held: new Map(),
    postponed: new Set(),
    safety: openSafety(view, config.safeEviction),
    robbed: new Set(),
    staleSince: new Map(),
    stale: new Set(),
    search: emptySearchCounts(),
    attempted: new Set(),
    turns: createTurns(list.jobs, faults),
  };
  fillState(session, opened);
  journal.isRecording = true;
  dra.seal();
  return session;
}

function hasSignature(view: SnapshotView, flags: number): boolean {
  const c = view.signatures;
  for (let row = 0; row < c.rows; row++) if (c.used[row] === 1 && (c.flags[row]! & flags) !== 0) return true;
  return false;
}

/** Puts everything on the ledgers that is there when the cycle begins. */
function fillState(s: Session, opened: TaskList): void {
  const { state } = s;
  state.header[STATE_HEADER.isGpuMapped] = s.evaluator.isGpuClassMapped ? 1 : 0;
  s.dra.registerBindRequests(opened.tasks.bindRequest);
  const groups = createGroups(s, opened);
  attach(s, opened, groups, true);
  attach(s, opened, groups, false);
  openZones(s, opened);
  for (let job = 0; job < s.jobs.count; job++) {
    const queue = s.jobs.queue[job]!;
    if (queue >= 0 && s.queues.isLeaf[queue] !== 1) {
      const message = `Queue '${s.queues.name[queue]!}' has child queues; only a queue without children takes jobs`;
      addJobError(s, job, { reason: 'QueueHasChildren', message, detail: message, subGroup: '' });
    }
    if (queue < 0) {
      const text = s.view.podGroups.queueText[s.jobs.row[job]!]!;
      const message = `Queue '${text === NO_ROW ? '' : s.view.texts.get(text)}' does not exist`;
      addJobError(s, job, { reason: 'QueueDoesNotExist', message, detail: message, subGroup: '' });
    }
    const invalid = s.jobs.invalid.get(job);
    if (invalid !== undefined) addJobError(s, job, { reason: 'PodSchedulingErrors', message: invalid, detail: invalid, subGroup: '' });
  }
  sumTotals(s, opened);
  divideAll(s.queues, kValue(s));
  state.header[STATE_HEADER.magic] = STATE_MAGIC;
}

/** Argument `maxCelCacheEntries` of plugin `dynamicresources`: unreadable = 10. */
function celCacheEntries(plugins: PluginSet): number {
  const value = Number(plugins.argument('dynamicresources', 'maxCelCacheEntries') ?? '10');
  return Number.isInteger(value) && value > 0 ? value : 10;
}

/** Proportion argument `kValue`: unreadable = 1, not positive = 0 (spec 02 section 7.3). */
function kValue(s: Session): number {
  const value = Number(s.plugins.argument('proportion', 'kValue') ?? '1');
  return Number.isNaN(value) ? 1 : Math.max(0, value);
}

/** Groups of tasks on nodes, numbered by name: the order of every tie among existing groups (spec 09 row 2). */
function createGroups(s: Session, opened: TaskList): Map<number, readonly number[]> {
  const wanted: { node: number; name: string }[] = [];
  const namesOf = new Map<number, readonly string[]>();
  for (let p = 0; p < s.view.pods.rows; p++) {
    const node = opened.node[p]!;
    if (node < 0 || s.view.pods.used[p] !== 1 || !isIn(ACTIVE_USED, opened.status[p]!) || !requestOf(s, p).isShared) continue;
    const request = opened.tasks.bindRequest[p]!;
    const fromRequest = request < 0 ? NO_ROW : s.view.bindRequests.gpuGroupsJson[request]!;
    const text = fromRequest !== NO_ROW ? fromRequest : s.view.pods.gpuGroupsJson[p]!;
    if (text === NO_ROW) continue;
    const names = JSON.parse(s.view.texts.get(text)) as string[];
    namesOf.set(p, names);
    for (const name of names) wanted.push({ node, name });
  }
  wanted.sort((a, b) => a.node - b.node || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const numbers = new Map<string, number>();
  for (const { node, name } of wanted) {
    const key = `${node}/${name}`;
    if (numbers.has(key)) continue;
    const g = createGroup(s.journal, s.state, node);
    s.groupNames[g] = name;
    s.groupOfName.set(name, g);
    numbers.set(key, g);
  }
  const result = new Map<number, readonly number[]>();
  for (const [p, names] of namesOf)
    result.set(
      p,
      names.map((name) => numbers.get(`${opened.node[p]!}/${name}`)!),
    );
  return result;
}

/** Attaches tasks: reservation pods first, then all others (spec 03 section 2.4). */
function attach(s: Session, opened: TaskList, groups: ReadonlyMap<number, readonly number[]>, reservations: boolean): void {
  const { pods } = s.view;
  const { cells } = s.state;
  for (let p = 0; p < pods.rows; p++) {
    if (pods.used[p] !== 1 || ((pods.flags[p]! & PodFlag.reservation) !== 0) !== reservations) continue;
    const status = opened.status[p]! as Status;
    const node = isIn(ACTIVE_USED, status) ? opened.node[p]! : -1;
    cells[taskCell(s, TASK_CELL.status, p)] = status;
    cells[taskCell(s, TASK_CELL.node, p)] = node;
    if (node >= 0) {
      if (requestOf(s, p).isLegacyMig) markLegacyMig(s, p, node);
      occupyAtOpen(s, p, node, status, groups.get(p) ?? []);
    }
    const podSet = s.tasks.podSet[p]!;
    if (podSet < 0) continue;
    countStatus(s, podSet, status, 1);
    const job = s.podSets.job[podSet]!;
    if (s.jobs.queue[job]! < 0) continue;
    if (isIn(ALLOCATED, status)) {
      if (node >= 0) {
        chargeQueues(s, p, node, 1);
        demandOfQueue(s, p, job, node);
      }
    } else if (status === Status.pending) demandOfQueue(s, p, job, -1);
  }
}

/** Puts the zone records of all pods on nodes on the ledger of plugin `numa`. */
function openZones(s: Session, opened: TaskList): void {
  if (s.numa === null) return;
  const { pods } = s.view;
  const onNodes: PodOnNode[] = [];
  for (let p = 0; p < pods.rows; p++) {
    const node = opened.node[p]!;
    if (pods.used[p] !== 1 || node < 0 || !isIn(ACTIVE_USED, opened.status[p]!)) continue;
    onNodes.push({
      podRow: p,
      node,
      request: requestOf(s, p),
      hasClaimGpus: s.dra.gpuCountOf(p) > 0,
      bindRequestRow: s.tasks.bindRequest[p]!,
      isTask: s.tasks.podSet[p]! >= 0,
      isStaying: isIn(ACTIVE_ALLOCATED, opened.status[p]!),
    });
  }
  s.numa.open(onNodes);
}

function markLegacyMig(s: Session, podRow: number, node: number): void {
  s.legacyMigNode.set(podRow, node);
  s.state.ledger.legacyMigTasks[node] = s.state.ledger.legacyMigTasks[node]! + 1;
}

/** Resources of the cluster for fairness: usable nodes minus what foreign pods ask for (spec 02 section 2.9). */
function sumTotals(s: Session, opened: TaskList): void {
  const { facts, sizes } = s.state;
  const { total } = s.queues;
  const isUsable = (n: number): boolean => (facts.flags[n]! & NODE_NOT_USABLE) === 0;
  for (let n = 0; n < sizes.nodes; n++) {
    if (!isUsable(n)) continue;
    total[0] = total[0]! + facts.allocMilliCpu[n]!;
    total[1] = total[1]! + facts.allocMemoryBytes[n]!;
    if (s.policies.restrictNodes && (facts.flags[n]! & NodeFlag.gpuWorker) === 0) continue;
    total[2] = total[2]! + (facts.allocGpu[n]! + migGpusOfNode(s, n)) * 1000;
  }
  const ours = s.view.texts.find(s.config.params.schedulerName);
  const { pods } = s.view;
  for (let p = 0; p < pods.rows; p++) {
    if (pods.used[p] !== 1 || pods.schedulerText[p] === ours || opened.node[p]! < 0 || !isIn(ACTIVE_USED, opened.status[p]!)) continue;
    if ((pods.flags[p]! & (PodFlag.reservation | PodFlag.scaling)) !== 0 || !isUsable(opened.node[p]!)) continue;
    const r = requestOf(s, p);
    total[0] = total[0]! - r.milliCpu;
    total[1] = total[1]! - r.memoryBytes;
    total[2] = total[2]! - demandGpuMilli(s, p, Number.NaN, true);
  }
}

function migGpusOfNode(s: Session, n: number): number {
  let gpus = 0;
  for (let d = 0; d < s.dimNames.length; d++) {
    if (s.migGpusOfDim[d]! > 0) gpus += s.migGpusOfDim[d]! * s.state.facts.allocScalar[d * s.state.sizes.nodes + n]!;
  }
  return gpus;
}
