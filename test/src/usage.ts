/** Prints what a program is for, and ends, where its command line asks for it. */
export function tellUsage(usage: string): void {
  if (!process.argv.slice(2).some((word) => word === '--help' || word === '-h')) return;
  console.log(usage);
  process.exit(0);
}
