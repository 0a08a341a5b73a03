import type { CycleExplanation, StandsBefore, VictimExplanation, WaitingExplanation } from '../../engine/report/explanation.ts';
import { table } from './table.ts';

/** An explanation for a person: one paragraph per pod group. */
export function explanationText({ waiting, victims }: CycleExplanation): string {
  if (waiting.length + victims.length === 0) return 'nothing waits, and nobody was evicted\n';
  return `${[...waiting.map(waitingText), ...victims.map(victimText)].join('\n\n')}\n`;
}

function waitingText(w: WaitingExplanation): string {
  const { constraint, taking, remedies } = w;
  const rows: string[][] = [['because', constraint.text]];
  for (const { reason, nodes } of constraint.nodes ?? []) rows.push(['', `${nodes} x ${reason}`]);
  for (const { action, text } of taking) rows.push([action, text]);
  for (const text of beforeTexts(w.before, w.queue)) rows.push(['before it', text]);
  for (const text of remedies) rows.push(['it would help', text]);
  return `${w.podGroup} waits in queue ${w.queue} (${podsText(w)})\n${table(withoutRepeats(rows), '  ')}`;
}

function podsText({ pods }: WaitingExplanation): string {
  const parts: readonly [number, string][] = [
    [pods.pending, 'pending'],
    [pods.gated, 'gated'],
    [pods.promised, 'promised a place'],
    [pods.holding, 'placed'],
  ];
  return parts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])).join(', ');
}

function beforeTexts({ jobCount, jobs, queues }: StandsBefore, queue: string): string[] {
  const out: string[] = [];
  if (jobCount > 0) {
    const more = jobCount > jobs.length ? ` and ${jobCount - jobs.length} more` : '';
    out.push(`${jobCount} waiting in queue ${queue}: ${jobs.join(', ')}${more}`);
  }
  for (const rank of queues) {
    if (rank.behind !== undefined)
      out.push(`queue ${rank.queue} is number ${rank.rank} of ${rank.of}, after ${rank.behind.queue}: ${rank.behind.rule}`);
  }
  return out;
}

function victimText({ podGroup, queue, action, evictor, rule, pods }: VictimExplanation): string {
  const by = evictor === undefined ? '' : ` for ${evictor}`;
  const rows = [
    ['because', rule],
    ...pods.map(({ pod, node, movedTo }) => [
      'evicted',
      movedTo === undefined ? `${pod} from ${node}` : `${pod} from ${node}, its place is on ${movedTo}`,
    ]),
  ];
  return `${podGroup} in queue ${queue} lost ${pods.length} pod${pods.length === 1 ? '' : 's'} to ${action}${by}\n${table(withoutRepeats(rows), '  ')}`;
}

/** A label stands once above what it is for; texts of several lines keep their column. */
function withoutRepeats(rows: readonly string[][]): string[][] {
  const out: string[][] = [];
  let last = '';
  for (const [label = '', text = ''] of rows) {
    for (const [i, line] of text.split('\n').entries()) out.push([i > 0 || label === last ? '' : label, line]);
    if (label !== '') last = label;
  }
  return out;
}
