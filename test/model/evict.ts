// Evictions in mind (spec 04 section 0.2): the pod keeps its node until it is gone, its queue no longer pays for it.
import { addTask, removeTask } from './ledger.ts';
import { acceptedTriple, book } from './queues.ts';
import type { State, Status, Task, TaskState, World } from './types.ts';

function change(world: World, state: State, task: Task, held: TaskState, from: Status, to: Status, sign: 1 | -1): void {
  state.tasks.set(task.key, { ...held, status: to });
  if (held.node === null) return;
  const facts = world.nodes.get(held.node)!;
  const ledger = state.nodes.get(held.node)!;
  removeTask(ledger, facts, task, from, held.groups);
  addTask(ledger, facts, task, to, held.groups);
  book(world, state, world.jobOf.get(task.key)!, acceptedTriple(task.request, facts), sign);
}

/** Evicts a pod; returns what it held. */
export function evict(world: World, state: State, task: Task): TaskState {
  const held = { ...state.tasks.get(task.key)! };
  change(world, state, task, held, held.status, 'releasing', -1);
  return held;
}

/** Takes the eviction back. */
export function restore(world: World, state: State, task: Task, held: TaskState): void {
  change(world, state, task, held, 'releasing', held.status, 1);
}
