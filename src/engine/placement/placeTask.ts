import { recordNodeReasons } from '../report/nodeReasons.ts';
import { nodeOf, requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import type { SlotColumns } from '../state/layout.ts';
import { isGroupName, place, type Statement } from '../statement.ts';
import { classAmong, classOf } from './classIndex.ts';
import { capacityOnly, checkNode, type DynamicChecks, dynamicChecks } from './dynamicChecks.ts';
import { evaluateNode, fitsNow, staticCodesInto } from './evaluate.ts';
import { chooseDevices, newGroupName } from './gpuChoice.ts';
import { preCheck } from './prepredicates.ts';
import type { Request } from './requests.ts';
import { bestNode } from './winnerTree.ts';

const REFUSED = Number.NEGATIVE_INFINITY;
const NOT_ASKED = -2;

/** How tasks are placed. */
export interface PlaceMode {
  /** A simulation: nothing is bound, virtually evicted tasks are placed too, reasons of nodes are not kept. */
  readonly pipelineOnly: boolean;
  /** Node numbers that may be used, ascending; null = all. */
  readonly nodes: Int32Array | null;
  /** Topology score by node, −Infinity = not to be used; absent = 0 everywhere. Only beside `nodes`. */
  readonly scores?: Float64Array | null;
}

/** The allocate action's way. */
export const REAL: PlaceMode = Object.freeze({ pipelineOnly: false, nodes: null });

/**
 * Places one task on the first node, in score order, that can take it now or later (spec 03 section 6.6). On failure the
 * reasons are recorded, unless it is a simulation.
 */
export function placeTask(st: Statement, podRow: number, job: number, mode: PlaceMode): boolean {
  const s = st.session;
  // Others see an evicted pod where it was (spec 04 section 5.5); it does not meet, or avoid, itself there.
  const home = s.hasPodAffinity && s.evicted.has(podRow) && !s.held.has(podRow) ? nodeOf(s, podRow) : -1;
  if (home >= 0) s.affinity.remove(podRow, home);
  const isPlaced = findPlace(st, podRow, job, mode);
  if (home >= 0) s.affinity.add(podRow, home);
  return isPlaced;
}

function findPlace(st: Statement, podRow: number, job: number, mode: PlaceMode): boolean {
  const s = st.session;
  const pre = preCheck(s, podRow);
  if (pre !== null) {
    if (!s.errors.task.has(podRow)) s.errors.task.set(podRow, pre.text);
    return false;
  }
  const request = requestOf(s, podRow);
  const signatureRow = s.view.pods.signatureRow[podRow]!;
  const checks = dynamicChecks(s, podRow, job);
  if (checks?.usesDra === true) {
    const columns = claimColumns(s, podRow, request, signatureRow);
    if (scan(st, checks, claimKeys(s, podRow, request, columns, mode.nodes), mode)) return true;
    if (!mode.pipelineOnly) recordNodeReasons(s, podRow, columns, checks, null, mode.nodes);
    return false;
  }
  const isNarrow = mode.pipelineOnly && s.numa === null && mode.nodes !== null;
  const c = isNarrow ? classAmong(s.classes, request, signatureRow, mode.nodes) : classOf(s.classes, request, signatureRow);
  const zones = s.numa?.orderOf(c) ?? null;
  const { tree, key } = zones ?? { tree: c.tree, key: c.columns.key };
  const best = mode.nodes === null && checks === null ? bestNode(tree, key) : NOT_ASKED;
  if (best >= 0 && zones?.isBestExact !== false && tryNode(st, podRow, job, request, best, null, mode)) return true;
  // The index's best node may still break the queue's sum there; then the others are asked in order.
  const asked = best === -1 ? null : (checks ?? capacityOnly(s, podRow, job));
  if (asked !== null && scan(st, asked, s.numa?.keysAmong(c, zones, mode.nodes) ?? key, mode)) return true;
  if (!mode.pipelineOnly) recordNodeReasons(s, podRow, c.columns, asked, c, mode.nodes);
  return false;
}

/** Evaluates all nodes for a task with claims: what it needs of a node depends on the devices already there. */
export function claimColumns(s: Session, podRow: number, request: Request, signatureRow: number): SlotColumns {
  const { sizes, facts } = s.state;
  const columns = s.state.slot(sizes.slots - 1);
  const extraGpus = s.dra.gpuCountOf(podRow);
  const isGpuTask = request.isGpuTask || extraGpus > 0;
  staticCodesInto(s.evaluator, s.view, request, signatureRow, isGpuTask, columns, 0, sizes.nodes);
  for (let n = 0; n < sizes.nodes; n++) {
    evaluateNode(s.evaluator, request, isGpuTask, columns, n, extraGpus, s.dra.sharedCreditOf(podRow, facts.row[n]!));
  }
  s.counts.nodesEvaluated += sizes.nodes;
  return columns;
}

function claimKeys(s: Session, podRow: number, request: Request, columns: SlotColumns, nodes: Int32Array | null): Float64Array {
  const extraGpus = s.dra.gpuCountOf(podRow);
  const kind = s.numa?.kindOf(request, extraGpus > 0) ?? null;
  if (s.numa === null || kind === null) return columns.key;
  const asker = { columns, request, isGpuTask: request.isGpuTask || extraGpus > 0 };
  return s.numa.claimKeysAmong(asker, kind, extraGpus, (n) => s.dra.sharedCreditOf(podRow, s.state.facts.row[n]!), nodes);
}

/** Tries the nodes in the order of (extra score, key, name) until one takes the task. */
function scan(st: Statement, checks: DynamicChecks, key: Float64Array, mode: PlaceMode): boolean {
  const s = st.session;
  const { nodes, scores = null } = mode;
  const { extra } = checks;
  s.counts.scans++;
  // Verdicts are asked for only where the node would lead; a refused node is not asked again.
  const count = nodes === null ? key.length : nodes.length;
  const refused = new Uint8Array(count);
  for (;;) {
    let best = -1;
    let bestAt = -1;
    for (let i = 0; i < count; i++) {
      const n = nodes === null ? i : nodes[i]!;
      if (key[n] === REFUSED || refused[i] === 1 || (scores !== null && scores[n] === REFUSED)) continue;
      if (best >= 0) {
        const above = (extra === null ? 0 : extra[n]! - extra[best]!) + (scores === null ? 0 : scores[n]! - scores[best]!);
        if (above < 0 || (above === 0 && key[n]! <= key[best]!)) continue;
      }
      if (checkNode(s, checks, n) !== 0) refused[i] = 1;
      else {
        best = n;
        bestAt = i;
      }
    }
    if (best < 0) return false;
    if (tryNode(st, checks.podRow, checks.job, checks.request, best, checks, mode)) return true;
    refused[bestAt] = 1;
  }
}

/** Binds or pipelines the task on a node that passed all checks (spec 03 section 6.7). */
function tryNode(
  st: Statement,
  podRow: number,
  job: number,
  r: Request,
  n: number,
  checks: DynamicChecks | null,
  mode: PlaceMode,
): boolean {
  const s = st.session;
  const nodeRow = s.state.facts.row[n]!;
  if (checks === null && r.isShared && checkNode(s, capacityOnly(s, podRow, job), n) !== 0) return false;
  const usesDra = checks?.usesDra === true;
  if (usesDra && s.plugins.has('dynamicresources') && s.dra.check(podRow, nodeRow) !== null) return false;
  if (!r.isShared) {
    const extraGpus = usesDra ? s.dra.gpuCountOf(podRow) : 0;
    const credit = usesDra ? s.dra.sharedCreditOf(podRow, nodeRow) : 0;
    const hasStorage = checks?.usesStorage !== true || s.csi?.fitsNow(podRow, n, false) !== false;
    const now = !mode.pipelineOnly && hasStorage && fitsNow(s.evaluator, r, n, extraGpus, credit);
    return placeInZones(st, podRow, r, n, now, []);
  }
  const choice = chooseDevices(s.evaluator, r, n, mode.pipelineOnly);
  if (choice === null) return false;
  const uid = s.view.texts.get(s.view.pods.uidText[podRow]!);
  const names = choice.groups.map((g, device) => (g >= 0 ? s.groupNames[g]! : freshName(s, uid, device)));
  return placeInZones(st, podRow, r, n, !choice.mustWait, names);
}

/**
 * A pod that moves, or whose bind was taken back in this cycle or an earlier one, may have left its first device to others
 * who joined it: they keep the name.
 */
function freshName(s: Session, uid: string, device: number): string {
  let name = newGroupName(uid, device);
  for (let move = 1; isGroupName(s, name); move++) name = newGroupName(`${uid}/${move}`, device);
  return name;
}

/** Places the task in the zones that it would get on the node; waits if they are not free yet (spec 03 section 11A.7). */
function placeInZones(st: Statement, podRow: number, r: Request, n: number, isNow: boolean, groupNames: readonly string[]): boolean {
  const s = st.session;
  const kind = s.numa?.kindOf(r, s.dra.gpuCountOf(podRow) > 0) ?? null;
  if (s.numa === null || kind === null) return place(st, podRow, n, isNow ? Status.allocated : Status.pipelined, groupNames, null);
  const isBound = isNow && s.numa.verdictsOf(kind).mustWait[n] === 0;
  return place(st, podRow, n, isBound ? Status.allocated : Status.pipelined, groupNames, s.numa.placementOn(kind, n, isBound));
}
