import { formatG3, formatHuman } from '../../base/formatNumber.ts';
import type { JobErrorEntry, Session } from '../session/session.ts';
import { FREE } from './capacity.ts';
import type { Demand } from './demand.ts';
import { type DomainTree, domainName, ROOT } from './domainTree.ts';
import type { Group } from './group.ts';

const SCHEDULING = 'PodSchedulingErrors';
const DOMAIN = 'Not enough resources for the workload';

/** Adds errors of one search, which are all different; what an earlier search of the job said as well is kept once. */
export function addErrors(s: Session, job: number, errors: readonly JobErrorEntry[]): void {
  const list = s.errors.job.get(job);
  if (list === undefined) {
    s.errors.job.set(job, [...errors]);
    return;
  }
  const keyOf = (e: JobErrorEntry): string => JSON.stringify([e.reason, e.message, e.detail, e.subGroup]);
  const seen = new Set(list.map(keyOf));
  for (const error of errors) {
    if (!seen.has(keyOf(error))) list.push(error);
  }
}

function entry(reason: string, message: string, detail: string): JobErrorEntry {
  return { reason, message, detail, subGroup: '' };
}

function schedulingError(message: string): JobErrorEntry {
  return entry(SCHEDULING, message, message);
}

export function unknownTopology(topology: string): JobErrorEntry {
  return schedulingError(`Requested topology ${topology} does not exist`);
}

/** A level that the topology does not have, or a preferred level wider than the required one (spec 06 section 10.3). */
export function unknownLevel(g: Group, level: string, kind: 'required' | 'preferred'): JobErrorEntry {
  const who = g.name === '' ? 'workload' : `sub-group ${g.name}`;
  return schedulingError(
    `topology constraint error: ${who} specified '${level}' as the ${kind} topology constraint level, but the topology tree ` +
      `'${g.constraint.topology}' does not contain a level with this name`,
  );
}

/** No domain was found; `tree` and `domain`: even this lowest common domain is too small (spec 06 section 10.1). */
export function unsatisfied(s: Session, g: Group, tooSmall: { readonly tree: DomainTree; readonly domain: number } | null): JobErrorEntry {
  const job = s.view.texts.get(s.view.podGroups.keyText[s.jobs.row[g.job]!]!);
  const named = g.name === '' || g.name === 'default' ? '' : `, subgroup ${g.name}`;
  let why = '';
  if (tooSmall !== null) {
    const place = tooSmall.domain === ROOT ? 'the cluster' : domainName(tooSmall.tree, tooSmall.domain);
    why = `: not enough resources in ${place} to allocate the job`;
  }
  const { topology, required } = g.constraint;
  return schedulingError(`topology ${topology}, requirement ${required} couldn't be satisfied for job <${job}>${named}${why}`);
}

/** A domain with too few slots. */
export function capacityError(g: Group, domain: string, capacity: number, tasks: number): JobErrorEntry {
  const message = `node-group ${domain} can allocate only ${capacity} of ${tasks} required pods`;
  return entry(DOMAIN, message, detailOf(g, domain, message));
}

/** Stands for the domains that are not named one by one. */
export function moreDomains(count: number): JobErrorEntry {
  const message = `${count} more node-groups cannot allocate the required pods`;
  return entry(DOMAIN, message, message);
}

/** Errors of a domain whose free sums are too small, one per resource; `at` = first of its columns in `free`, −1 = not computed. */
export function sumErrors(s: Session, g: Group, domain: string, demand: Demand, free: Float64Array, at: number): JobErrorEntry[] {
  const errors: JobErrorEntry[] = [];
  const add = (message: string, detail: string): void => {
    errors.push(entry(DOMAIN, message, detailOf(g, domain, detail)));
  };
  const available = (column: number): number => (at < 0 ? 0 : free[at + column]!);
  const compare = (name: string, plural: string, requested: number, column: number, format: (value: number) => string): void => {
    const has = available(column);
    if (requested <= 0 || requested <= has) return;
    const text = `${domain} didn't have enough ${plural}: ${name}, requested: ${format(requested)}, available: ${format(has)}`;
    add(`node-group(s) didn't have enough resources: ${name}`, text);
  };
  compare('CPU cores', 'resources', demand.milliCpu, FREE.milliCpu, (value) => formatHuman(value, 1000));
  compare('memory', 'resources', demand.memoryBytes, FREE.memoryBytes, (value) => formatHuman(value, 1e9));
  compare('GPUs', 'resource', demand.gpus, FREE.gpus, formatG3);
  if (at < 0)
    add(
      "node-group(s) didn't have enough resources: pods",
      `${domain} didn't have enough resource: pods, requested: ${demand.count}, available: 0`,
    );
  for (let k = 0; k < demand.scalarDim.length; k++) {
    const dim = demand.scalarDim[k]!;
    const name = s.dimNames[dim]!;
    const requested = demand.scalarAmount[k]!;
    const has = available(FREE.firstScalar + dim);
    if (requested <= has) continue;
    const message =
      s.migGpusOfDim[dim]! > 0
        ? `node-group(s) didn't have enough of mig profile: ${name}`
        : `node-group(s) didn't have enough resources: ${name}`;
    add(message, `${domain} didn't have enough resource: ${name}, requested: ${requested}, available: ${has}`);
  }
  return errors;
}

function detailOf(g: Group, domain: string, text: string): string {
  const named = g.name === '' || g.name === 'default' ? '' : `subgroup ${g.name}: `;
  return `<${domain}>: ${named}${text}`;
}
