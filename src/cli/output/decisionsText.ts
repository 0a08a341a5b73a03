import type { QueueReport } from '../../base/decisions.ts';
import { formatHuman } from '../../base/formatNumber.ts';
import type { DecideDocument, DecisionRecord, JobRecord } from './decisionsDocument.ts';
import { table } from './table.ts';

const KINDS = [
  { kind: 'bind', title: 'bound' },
  { kind: 'pipeline', title: 'pipelined, waiting for what is leaving' },
  { kind: 'evict', title: 'evicted' },
] as const;

/** The result for a person: what was decided, who waits and why, queues, times. */
export function decisionsText(document: DecideDocument): string {
  const sections = [
    `cycle at ${document.now}, actions ${document.config.actions.join(', ') || 'none'}`,
    ...KINDS.map(({ kind, title }) =>
      decisionSection(
        document.decisions.filter((decision) => decision.kind === kind),
        title,
      ),
    ),
    waitingSection(document.jobs.filter(({ state }) => state !== 'scheduled')),
    queueSection(document.queues),
    footer(document),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function decisionSection(decisions: readonly DecisionRecord[], title: string): string {
  if (decisions.length === 0) return '';
  const rows = decisions.map(({ pod, podGroup, node, action, ...rest }) => [pod, node, gpuText(rest), podGroup, action]);
  return `${title}: ${decisions.length}\n${table([['POD', 'NODE', 'GPU', 'POD GROUP', 'ACTION'], ...rows], '  ')}`;
}

/** "2", "0.50", "2 x 0.25 on g1,g2", "MIG", "-". */
function gpuText({
  receivedResourceType,
  receivedGpu,
  gpuGroups,
}: Pick<DecisionRecord, 'receivedResourceType' | 'receivedGpu' | 'gpuGroups'>): string {
  if (receivedResourceType === 'MigInstance') return 'MIG';
  const { count, portion } = receivedGpu;
  if (count === 0) return '-';
  if (receivedResourceType !== 'Fraction') return String(count);
  const amount = count === 1 ? portion : `${count} x ${portion}`;
  return gpuGroups.length === 0 ? amount : `${amount} on ${gpuGroups.join(',')}`;
}

function waitingSection(jobs: readonly JobRecord[]): string {
  if (jobs.length === 0) return '';
  return [`waiting: ${plural(jobs.length, 'pod group')}`, ...jobs.map(jobText)].join('\n');
}

function jobText(job: JobRecord): string {
  const head = `  ${job.podGroup} (${job.state})`;
  const lines = job.message === '' ? [head] : [`${head}: ${indented(job.message, '    ')}`];
  for (const [message, pods] of podsByMessage(job)) {
    if (message === '' || message === job.message) continue;
    const who = pods.length <= 3 ? pods.join(', ') : `${pods[0]} and ${pods.length - 1} more`;
    lines.push(`    ${who}: ${indented(message, '      ')}`);
  }
  return lines.join('\n');
}

/** Pods of one job mostly share one text. */
function podsByMessage(job: JobRecord): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { pod, message } of job.pods) {
    const group = groups.get(message);
    if (group === undefined) groups.set(message, [pod]);
    else group.push(pod);
  }
  return groups;
}

function indented(text: string, indent: string): string {
  return text.trimEnd().replace(/\n/g, `\n${indent}`);
}

function queueSection(queues: readonly QueueReport[]): string {
  if (queues.length === 0) return '';
  const rows = queues.map((queue) => [
    queue.queue,
    `${formatHuman(queue.allocatedGpu, 1)} of ${formatHuman(queue.fairShareGpu, 1)}`,
    `${formatHuman(queue.allocatedMilliCpu, 1000)} of ${formatHuman(queue.fairShareMilliCpu, 1000)}`,
    `${formatHuman(queue.allocatedMemoryBytes, 1e9)} of ${formatHuman(queue.fairShareMemoryBytes, 1e9)}`,
  ]);
  return `queues, allocated of fair share\n${table([['QUEUE', 'GPU', 'CPU (cores)', 'MEMORY (GB)'], ...rows], '  ')}`;
}

function footer({ counts, phaseMs, cycleMs, problems }: DecideDocument): string {
  const phases = Object.entries(phaseMs).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
  const lines = [
    `${plural(counts.jobsAttempted, 'pod group')} tried, ${counts.jobsFailed} failed; ${cycleMs.toFixed(1)} ms` +
      (phases.length === 0 ? '' : ` (${phases.join(', ')})`),
  ];
  if (problems.length > 0) lines.push(`${plural(problems.length, 'problem')} in the input, see above`);
  return lines.join('\n');
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
