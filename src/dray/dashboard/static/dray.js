// The entry: each module below sets itself up. All listen on the document, so that nothing need be set up anew when a page changes.
import "./times.js";
import "./theme.js";
import "./dialogs.js";
import "./forms.js";
import "./select.js";
import "./search.js";
import "./palette.js";
import "./keys.js";
import "./charts.js";
import "./live.js";

document.querySelector(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // of a phone's bar
for (const button of document.querySelectorAll("button[hidden]")) button.hidden = false;
