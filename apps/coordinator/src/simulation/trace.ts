import type { Command, Event } from '../state.js';

/** An event of the machine in a line; null for those that say nothing. */
export function told(event: Event): string | null {
  if (event.kind === 'heard' || event.kind === 'tick') return null;
  const who = 'worker' in event ? ` ${event.worker}` : '';
  const which = 'assignment' in event ? ` #${event.assignment}` : '';
  const why = 'reason' in event ? `: ${event.reason}` : '';
  return `${event.kind}${who}${which}${why}`;
}

/** A command in a line. */
export function ordered(command: Command): string {
  switch (command.do) {
    case 'assign':
    case 'accept':
    case 'cancel': {
      const { id, worker, range } = command.assignment;
      return `  → ${command.do} #${id} ${worker} ${range.first} … ${range.first + range.count - 1}`;
    }
    case 'quarantine':
    case 'refuse':
    case 'dismiss':
      return `  → ${command.do} ${command.worker}: ${command.reason}`;
    case 'note':
      return `  → note ${command.event}`;
    default:
      return `  → ${command.do}`;
  }
}
