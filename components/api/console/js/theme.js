// Before anything is drawn: light or dark, by the reader's own choice or else by the system's. No module, so that it
// runs before the page is painted.
(() => {
  const KEY = "er-console-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // Storage is refused: the system's choice holds.
    }
  };
  const show = () => {
    document.documentElement.dataset.theme = chosen() ?? (system.matches ? "dark" : "light");
  };
  system.addEventListener("change", show);
  show();
  window.erTheme = {
    isDark: () => document.documentElement.dataset.theme === "dark",
    toggle: () => {
      const next = window.erTheme.isDark() ? "light" : "dark";
      try {
        // What the system says anyway is not kept: who goes back follows the system again.
        if ((next === "dark") === system.matches) localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, next);
      } catch {
        // Then it holds for this page only.
      }
      document.documentElement.dataset.theme = next;
    },
  };
})();
