/** The colours of our pages, dark or light as the reader's system is. */
export const palette = `
:root { color-scheme: light dark; --back: #fbfaf7; --front: #1e1f22; --dim: #5f6268; --line: #d9d8d2; --card: #ffffff;
  --value: #2f74d8; --error: #c2570c; --good: #19794a; --answer: #d8f0e2; --focus: #7a3ff2; --band: #f1f0ea; }
@media (prefers-color-scheme: dark) { :root { --back: #131518; --front: #e8e7e3; --dim: #a2a5ab; --line: #34373d;
  --card: #1b1e22; --value: #6ea8ff; --error: #ff9a4d; --good: #58c98d; --answer: #16402a; --focus: #b794ff; --band: #20242a; } }
`;
