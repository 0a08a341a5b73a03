import { requestOf } from '../session/occupy.ts';
import type { JobErrorEntry, Session } from '../session/session.ts';
import { type Area, areaOf, type NodeSet } from './area.ts';
import { FREE, largestTaskCapacity } from './capacity.ts';
import { type Demand, readDemand } from './demand.ts';
import { ancestorAt, type DomainTree, depthOf, domainName, nodesOf } from './domainTree.ts';
import { addErrors, capacityError, moreDomains, sumErrors, unknownLevel, unknownTopology, unsatisfied } from './fitErrors.ts';
import { type Group, tiedDomains } from './group.ts';

/** Where a group may be placed, best first (spec 06 section 5). */
export interface Candidates {
  readonly tree: DomainTree;
  readonly area: Area;
  readonly domains: readonly number[];
  /** Topology score by node, −Infinity = not to be used; null without a preferred level (section 7). */
  readonly scores: Float64Array | null;
}

/** One search: the numbers that are current while candidates are found. */
interface Search {
  readonly session: Session;
  readonly group: Group;
  readonly tree: DomainTree;
  /** Depths; 0 = not given. */
  readonly required: number;
  readonly preferred: number;
  readonly area: Area;
  readonly demand: Demand;
  readonly free: Float64Array;
  readonly columns: number;
  /** By shape of the demand. */
  readonly slots: readonly Float64Array[];
  readonly tied: Uint8Array | null;
}

/** Domains that a job's message names: with thousands of hosts the pod group would outgrow the API server's limit. */
const MAX_DOMAINS_TOLD = 256;
const SCORE_STEP = 100_000;
/** Ratio where something is asked for and nothing is free. */
const NONE_FREE = 1000;

/**
 * Domains in which the tasks of a group may fit, in the order in which they are tried. Null when there is none; the job is
 * told why unless `isSilent` (a simulation). `within`: where the parent is placed, null = all nodes.
 */
export function findCandidates(s: Session, group: Group, within: NodeSet | null, isSilent: boolean): Candidates | null {
  const { topology, required: requiredLabel, preferred: preferredLabel } = group.constraint;
  const fail = (errors: readonly JobErrorEntry[]): null => {
    if (!isSilent) addErrors(s, group.job, errors);
    return null;
  };
  const tree = s.topology.tree(topology);
  if (tree === null) return fail([unknownTopology(topology)]);
  const required = depthOf(tree, requiredLabel);
  const preferred = depthOf(tree, preferredLabel);
  if (requiredLabel !== '' && required === 0) return fail([unknownLevel(group, requiredLabel, 'required')]);
  // Wider than the required level is reported the same way: the reference places such a group nowhere.
  if (preferredLabel !== '' && (preferred === 0 || preferred < required)) return fail([unknownLevel(group, preferredLabel, 'preferred')]);
  const search = open(s, group, tree, required, preferred, within);
  const { area } = search;
  if (!fits(search, area.domain)) return fail([unsatisfied(s, group, { tree, domain: area.domain })]);
  const order = sortDomains(search);
  const domains = choose(search, order);
  if (domains.length === 0) return fail([...domainErrors(search), unsatisfied(s, group, null)]);
  const scores = preferred === 0 ? null : scoreNodes(search, order[preferred - tree.depth[area.domain]!]!);
  return { tree, area, domains, scores };
}

function open(s: Session, group: Group, tree: DomainTree, required: number, preferred: number, within: NodeSet | null): Search {
  const area = areaOf(tree, within, preferred > 0 ? preferred : required);
  const demand = readDemand(
    group.tasks.map((podRow) => ({ request: requestOf(s, podRow), claimedGpus: s.dra.gpuCountOf(podRow) })),
    s.evaluator.delegatedDims,
  );
  return {
    session: s,
    group,
    tree,
    required,
    preferred,
    area,
    demand,
    free: s.topology.freeIn(tree, area),
    columns: s.topology.freeColumns,
    slots: demand.isComparable ? demand.shapes.map((shape) => s.topology.slotsIn(tree, area, shape.request)) : [],
    tied: required === 0 ? null : tiedDomains(s, tree, group, required),
  };
}

/** Could the tasks fit the domain? Never false where they can be placed (spec 06 sections 5.3, 5.4 with its deviation). */
function fits(q: Search, domain: number): boolean {
  const { demand } = q;
  for (let k = 0; k < q.slots.length; k++) if (q.slots[k]![domain]! < demand.shapes[k]!.atLeast) return false;
  if (q.slots.length === 1) return true;
  const at = domain * q.columns;
  const { free } = q;
  if (demand.milliCpu > 0 && demand.milliCpu > free[at + FREE.milliCpu]!) return false;
  if (demand.memoryBytes > 0 && demand.memoryBytes > free[at + FREE.memoryBytes]!) return false;
  if (demand.wholeGpus > 0 && demand.wholeGpus > free[at + FREE.gpus]!) return false;
  for (let k = 0; k < demand.scalarDim.length; k++) {
    if (demand.scalarAmount[k]! > free[at + FREE.firstScalar + demand.scalarDim[k]!]!) return false;
  }
  return true;
}

/** Share of the domain that the tasks would take, by their scarcest resource (spec 06 section 5.5). */
function ratioOf(q: Search, domain: number): number {
  const { demand, free } = q;
  const at = domain * q.columns;
  let ratio = Math.max(
    part(demand.milliCpu, free[at + FREE.milliCpu]!),
    part(demand.memoryBytes, free[at + FREE.memoryBytes]!),
    part(demand.gpus, free[at + FREE.gpus]!),
  );
  for (let k = 0; k < demand.scalarDim.length; k++) {
    ratio = Math.max(ratio, part(demand.scalarAmount[k]!, free[at + FREE.firstScalar + demand.scalarDim[k]!]!));
  }
  return ratio;
}

function part(requested: number, free: number): number {
  if (requested <= 0) return 0;
  return free <= 0 ? NONE_FREE : requested / free;
}

/**
 * Domains by depth, from the lowest common one down to the preferred or required level, each depth from left to right in
 * the sorted tree: tightest first, then by identifier (spec 06 section 5.5). Where only candidates are asked for, the last
 * depth holds just these.
 */
function sortDomains(q: Search): number[][] {
  const { tree, area } = q;
  const stop = q.preferred > 0 ? q.preferred : q.required;
  const order = [[area.domain]];
  const ratios = new Float64Array(tree.count);
  for (let depth = tree.depth[area.domain]! + 1; depth <= stop; depth++) {
    const isPruned = depth === stop && q.preferred === 0;
    const next: number[] = [];
    for (const domain of order[order.length - 1]!) {
      const from = next.length;
      for (let child = tree.firstChild[domain]!; child < tree.firstChild[domain]! + tree.childCount[domain]!; child++) {
        if (isPruned && !isCandidate(q, child)) continue;
        ratios[child] = ratioOf(q, child);
        next.push(child);
      }
      if (next.length - from < 2) continue;
      const siblings = next.splice(from).sort((a, b) => ratios[b]! - ratios[a]! || a - b);
      for (const child of siblings) next.push(child);
    }
    order.push(next);
  }
  return order;
}

/** Candidates, narrowest level first, each level in tree order (spec 06 sections 5.6, 5.7). */
function choose(q: Search, order: readonly (readonly number[])[]): number[] {
  const { tree, area } = q;
  const top = tree.depth[area.domain]!;
  const domains: number[] = [];
  for (let k = order.length - 1; k >= 0 && top + k >= q.required; k--) {
    for (const domain of order[k]!) {
      // The same nodes have been listed as its only child.
      if (k < order.length - 1 && tree.childCount[domain] === 1) continue;
      if (isCandidate(q, domain)) domains.push(domain);
    }
  }
  return domains;
}

function isCandidate(q: Search, domain: number): boolean {
  return fits(q, domain) && (q.tied === null || q.tied[ancestorAt(q.tree, domain, q.required)] === 1);
}

/** Why each domain of the required level is none: those outside the area have nothing that could be used. */
function domainErrors(q: Search): JobErrorEntry[] {
  const { session: s, group, tree, area, demand, required } = q;
  const errors: JobErrorEntry[] = [];
  let told = 0;
  for (let domain = 0; domain < tree.count; domain++) {
    if (tree.depth[domain] !== required || (q.tied !== null && q.tied[domain] !== 1)) continue;
    if (++told > MAX_DOMAINS_TOLD) continue;
    const name = domainName(tree, domain);
    const isComputed = tree.depth[area.domain]! <= required && ancestorAt(tree, domain, tree.depth[area.domain]!) === area.domain;
    if (isComputed && demand.isComparable) errors.push(capacityError(group, name, capacityOf(q, domain), demand.count));
    else errors.push(...sumErrors(s, group, name, demand, q.free, isComputed ? domain * q.columns : -1));
  }
  if (told > MAX_DOMAINS_TOLD) errors.push(moreDomains(told - MAX_DOMAINS_TOLD));
  return errors;
}

function capacityOf(q: Search, domain: number): number {
  if (q.slots.length === 1) return q.slots[0]![domain]!;
  const { tree, area } = q;
  const at = tree.domainAt[tree.depth[domain]!]!;
  const nodes = area.isWhole ? nodesOf(tree, domain) : area.nodes.filter((n) => at[n] === domain);
  return largestTaskCapacity(q.session.state, q.demand, nodes);
}

/** The roomiest preferred domain of n gets 1,000,000, the i-th from the tight end ⌊(i + 1)/n × 10⌋ steps (spec 06 section 7). */
function scoreNodes(q: Search, preferred: readonly number[]): Float64Array {
  const { tree, area } = q;
  const stepOf = new Float64Array(tree.count);
  for (let i = 0; i < preferred.length; i++) stepOf[preferred[i]!] = Math.floor(((i + 1) * 10) / preferred.length) * SCORE_STEP;
  const scores = new Float64Array(q.session.state.sizes.nodes).fill(Number.NEGATIVE_INFINITY);
  const at = tree.domainAt[q.preferred]!;
  for (const n of area.nodes) scores[n] = stepOf[at[n]!]!;
  return scores;
}
