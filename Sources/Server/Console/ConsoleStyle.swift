/// How pages look: light and dark, wide and narrow, without a picture or a font of anybody else's.
///
/// Text has at least 4.5 times the contrast to what is behind it in both schemes.
enum ConsoleStyle {
  static let text = #"""
    :root {
      color-scheme: light dark;
      --ground: #f5f6f4; --surface: #ffffff; --raised: #fafbf9; --ink: #1b2125; --soft: #515c64; --line: #dcdfdb;
      --strong: #858f8c; --accent: #0b5d57; --on-accent: #ffffff; --accent-soft: #e2efec;
      --good: #1d6537; --good-soft: #e3f1e6; --warn: #7d4a00; --warn-soft: #fbefd9;
      --bad: #a3221a; --bad-soft: #fbe7e4; --idle: #515c64; --idle-soft: #eceeed; --bar: #4d9c94; --focus: #0b5d57;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --ground: #101416; --surface: #171d20; --raised: #1d2428; --ink: #e7ebea; --soft: #a2afb3; --line: #2b3438;
        --strong: #66757b; --accent: #6fd0c4; --on-accent: #07211e; --accent-soft: #163330;
        --good: #86d6a0; --good-soft: #15301f; --warn: #f1bd66; --warn-soft: #352812;
        --bad: #ffa59b; --bad-soft: #3d1b19; --idle: #a2afb3; --idle-soft: #242c30; --bar: #4fa79c; --focus: #6fd0c4;
      }
    }
    *, *::before, *::after { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
    body {
      margin: 0; background: var(--ground); color: var(--ink);
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
    }
    h1, h2, h3, p, dl, dd, ol, ul, table, figure { margin: 0; padding: 0; }
    ol, ul { list-style: none; }
    a { color: var(--accent); text-underline-offset: .18em; }
    code, .mono { font: .92em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
    :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
    main:focus { outline: none; }
    .hidden {
      position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
    }
    [hidden] { display: none !important; }
    .skip {
      position: absolute; left: 1rem; top: -4rem; padding: .5rem 1rem; background: var(--accent);
      color: var(--on-accent); border-radius: 0 0 8px 8px; z-index: 9;
    }
    .skip:focus { top: 0; }

    .bar {
      display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1.75rem; padding: .6rem 2rem;
      background: var(--surface); border-bottom: 1px solid var(--line);
    }
    .brand {
      display: flex; align-items: center; gap: .55rem; font-weight: 650; font-size: 1.06rem; color: var(--ink);
      text-decoration: none; letter-spacing: -.01em;
    }
    .sign-row { fill: var(--strong); opacity: .55; } .sign-cast { fill: var(--accent); }
    nav.main { flex: 1; }
    nav.main ul { display: flex; flex-wrap: wrap; gap: .15rem; }
    nav.main a {
      display: block; padding: .35rem .7rem; border-radius: 7px; color: var(--soft); text-decoration: none; font-weight: 500;
    }
    nav.main a:hover { background: var(--idle-soft); color: var(--ink); }
    nav.main a[aria-current] { background: var(--accent-soft); color: var(--accent); font-weight: 600; }
    .who { display: flex; align-items: center; gap: .75rem; color: var(--soft); font-size: .9rem; }

    main { max-width: 1240px; margin: 0 auto; padding: 1.75rem 2rem 2rem; }
    .crumbs { margin-bottom: .3rem; font-size: .92rem; }
    .crumbs li { display: inline; } .crumbs li::after { content: "\a0/\a0"; color: var(--soft); }
    .head { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.5rem; }
    h1 { flex: 1 1 auto; font-size: 1.7rem; line-height: 1.2; letter-spacing: -.02em; font-weight: 680; overflow-wrap: anywhere; }
    .lead { margin-top: .35rem; color: var(--soft); max-width: 75ch; overflow-wrap: anywhere; }
    h2 { font-size: 1.1rem; font-weight: 640; letter-spacing: -.01em; margin-bottom: .7rem; }
    h3 { font-size: 1rem; font-weight: 620; margin-bottom: .4rem; }
    section { margin-top: 2rem; }
    #part { margin-top: 1.4rem; }
    #part > section:first-child { margin-top: 0; }
    .asof { margin-top: 2rem; color: var(--soft); font-size: .87rem; font-variant-numeric: tabular-nums; }
    footer { max-width: 1240px; margin: 0 auto; padding: .5rem 2rem 2rem; color: var(--soft); font-size: .87rem; }
    .refresh { display: flex; align-items: center; gap: .6rem; }
    .pulse { display: inline-flex; align-items: center; gap: .45rem; color: var(--good); font-weight: 600; font-size: .92rem; }
    .pulse .dot { width: .6rem; height: .6rem; border-radius: 50%; background: currentColor; }
    .pulse.stopped { color: var(--soft); } .pulse.lost { color: var(--bad); }
    .pulse.stopped .dot { border-radius: 1px; }
    .pulse.lost .dot { border-radius: 0; transform: rotate(45deg); }
    @media (prefers-reduced-motion: no-preference) {
      .pulse:not(.stopped, .lost) .dot { animation: beat 2s ease-in-out infinite; }
      @keyframes beat { 50% { opacity: .35; } }
    }

    button, .button {
      display: inline-block; font: inherit; font-weight: 600; line-height: 1.3; padding: .5rem 1rem; border-radius: 8px;
      border: 1px solid transparent; background: var(--accent); color: var(--on-accent); cursor: pointer; text-decoration: none;
    }
    button:hover, .button:hover { filter: brightness(1.12); }
    .quiet { background: var(--surface); color: var(--ink); border-color: var(--strong); padding: .3rem .7rem; font-size: .9rem; font-weight: 550; }
    .quiet:hover { background: var(--idle-soft); filter: none; }

    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem; }
    .tile { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: .9rem 1.1rem 1rem; }
    .tile dt { color: var(--soft); font-size: .9rem; font-weight: 550; }
    .tile dd { font-size: 1.75rem; font-weight: 660; letter-spacing: -.025em; line-height: 1.25; font-variant-numeric: tabular-nums; }
    .tile dd.more { font-size: .9rem; font-weight: 400; letter-spacing: 0; line-height: 1.45; color: var(--soft); }
    .tile .unit { font-size: 1rem; font-weight: 500; letter-spacing: 0; color: var(--soft); }

    .note { color: var(--soft); background: var(--surface); border: 1px dashed var(--line); border-radius: 12px; padding: 1rem 1.1rem; overflow-wrap: anywhere; }
    .none { color: var(--soft); }
    .fine { color: var(--soft); font-size: .88rem; font-weight: 400; display: block; overflow-wrap: anywhere; }

    .alerts { display: grid; gap: .5rem; }
    .alerts li { display: flex; flex-wrap: wrap; align-items: baseline; gap: .15rem .8rem; padding: .65rem 1rem; border-radius: 10px; border-left: 4px solid; overflow-wrap: anywhere; }
    .alerts .bad { background: var(--bad-soft); border-color: var(--bad); }
    .alerts .warn { background: var(--warn-soft); border-color: var(--warn); }
    .alerts .what { flex: 1 1 20rem; min-width: 0; }
    .alerts .when { color: var(--ink); font-size: .9rem; }
    .alerts .kind { font-weight: 640; display: inline-flex; align-items: center; gap: .4rem; white-space: nowrap; }
    .alerts .bad .kind { color: var(--bad); } .alerts .warn .kind { color: var(--warn); }
    .alerts a { color: inherit; font-weight: 600; }

    .badge {
      display: inline-flex; align-items: center; gap: .38rem; padding: .08rem .6rem .08rem .5rem; border-radius: 99px;
      font-size: .87rem; font-weight: 600; white-space: nowrap;
    }
    .badge.good { color: var(--good); background: var(--good-soft); } .badge.warn { color: var(--warn); background: var(--warn-soft); }
    .badge.bad { color: var(--bad); background: var(--bad-soft); } .badge.idle { color: var(--idle); background: var(--idle-soft); }
    .shape { fill: currentColor; width: .68rem; height: .68rem; flex: none; }
    .tag { display: inline-block; padding: .02rem .5rem; border-radius: 6px; background: var(--accent-soft); color: var(--accent); font-size: .86rem; font-weight: 600; margin: .1rem .25rem .1rem 0; overflow-wrap: anywhere; }

    table { width: 100%; border-collapse: separate; border-spacing: 0; background: var(--surface); border: 1px solid var(--line); border-radius: 12px; }
    caption { text-align: left; color: var(--soft); font-size: .9rem; padding-bottom: .45rem; }
    thead th { color: var(--soft); font-size: .86rem; font-weight: 600; text-align: left; vertical-align: bottom; padding: .6rem .9rem .5rem; border-bottom: 1px solid var(--line); }
    tbody th, td { text-align: left; vertical-align: top; padding: .6rem .9rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
    tbody tr:first-child > * { border-top: 0; }
    tbody th { font-weight: 600; min-width: 8rem; }
    /* Words and moments stay whole beside long names. */
    td:not(.number) { min-width: 6.6rem; } time { white-space: nowrap; }
    .number .fine, .late { white-space: nowrap; }
    .number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
    td .label { display: none; }
    .late { color: var(--bad); font-weight: 650; display: inline-flex; gap: .35rem; align-items: center; }
    .bars { display: inline-block; vertical-align: middle; fill: var(--bar); max-width: 100%; }
    .bars.bad { fill: var(--bad); } .bars .base { stroke: var(--line); stroke-width: 2; fill: none; }
    .chart { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.1rem; }
    .chart .bars { width: 100%; height: 6.5rem; }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: .9rem; }
    .chart .axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .85rem; margin-top: .25rem; }
    .chart .peak { color: var(--soft); font-size: .9rem; }
    progress { width: 100%; min-width: 6rem; height: .6rem; accent-color: var(--accent); appearance: none; border: 0; border-radius: 99px; background: var(--idle-soft); overflow: hidden; vertical-align: middle; }
    progress::-webkit-progress-bar { background: var(--line); } progress::-webkit-progress-value { background: var(--accent); }
    progress::-moz-progress-bar { background: var(--accent); }
    .facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.3rem, 1fr)); gap: .8rem 1.5rem; background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.1rem; }
    .facts dt { color: var(--soft); font-size: .88rem; } .facts dd { font-weight: 550; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
    .pages { margin-top: .9rem; display: flex; gap: .6rem; }
    details { margin-top: .8rem; } summary { cursor: pointer; color: var(--accent); font-weight: 550; padding: .2rem 0; width: fit-content; }
    details[open] > summary { margin-bottom: .5rem; }
    .jobs { min-width: 9rem; }

    form.card, .card { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 1.2rem 1.3rem 1.3rem; }
    .columns { display: grid; grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr); gap: 1.25rem; align-items: start; }
    .fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: .9rem 1rem; }
    .field { display: flex; flex-direction: column; gap: .25rem; min-width: 0; }
    .field.wide { grid-column: 1 / -1; }
    label, .label-like { font-weight: 570; font-size: .93rem; overflow-wrap: anywhere; }
    .hint { color: var(--soft); font-size: .86rem; }
    input, select, textarea {
      font: inherit; width: 100%; padding: .45rem .6rem; color: var(--ink); background: var(--raised);
      border: 1px solid var(--strong); border-radius: 8px;
    }
    textarea { min-height: 6.5rem; resize: vertical; }
    input[type="file"] { border-style: none; background: none; padding: 0; }
    input::file-selector-button { font: inherit; font-weight: 550; margin-right: .8rem; padding: .4rem .8rem; border-radius: 8px; border: 1px solid var(--strong); background: var(--surface); color: var(--ink); cursor: pointer; }
    .drop { border: 2px dashed var(--strong); border-radius: 12px; padding: 1.3rem; display: grid; gap: .6rem; justify-items: start; }
    .drop.over { border-color: var(--accent); background: var(--accent-soft); }
    .drop img { max-width: 100%; max-height: 16rem; border-radius: 8px; }
    .actions { display: flex; flex-wrap: wrap; align-items: center; gap: .7rem; margin-top: 1.1rem; }
    .problem { border-left: 4px solid var(--bad); background: var(--bad-soft); border-radius: 10px; padding: .8rem 1rem; overflow-wrap: anywhere; }
    .problem strong { color: var(--bad); } .problem .hint { color: var(--ink); display: block; }
    .answer { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: baseline; margin-bottom: 1rem; }
    .answer strong { font-size: 1.6rem; letter-spacing: -.02em; overflow-wrap: anywhere; }
    .weigh { width: 9rem; height: .9rem; vertical-align: middle; max-width: 100%; }
    .weigh .plus { fill: var(--bar); } .weigh .minus { fill: var(--warn); } .weigh .zero { stroke: var(--strong); }
    .spaced { margin-top: 1.2rem; }
    .actions.top { margin-top: 0; }
    .choice ul { display: flex; flex-wrap: wrap; gap: .4rem; margin-bottom: 1.2rem; }
    .choice a { display: inline-block; padding: .3rem .75rem; border: 1px solid var(--line); border-radius: 99px; background: var(--surface); color: var(--ink); text-decoration: none; overflow-wrap: anywhere; }
    .choice a:hover { border-color: var(--strong); } .choice a[aria-current] { background: var(--accent); color: var(--on-accent); border-color: var(--accent); font-weight: 600; }
    .fine-inline { font-size: .88rem; }
    .versions { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; margin-bottom: 1.1rem; } .versions select { width: auto; max-width: 100%; }
    section.result { margin-top: 0; } pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    .result > .note, .result > section { margin-top: 1rem; } .result[aria-busy] { opacity: .6; }
    .sign-in { max-width: 27rem; } .sign-in .problem { margin-top: 1rem; }
    .sign-in .field { margin-top: 1rem; }

    @media (max-width: 900px) { .columns { grid-template-columns: minmax(0, 1fr); } }
    @media (max-width: 760px) {
      .bar { padding: .6rem 1rem; gap: .35rem 1rem; } main { padding: 1.2rem 1rem; } footer { padding: 0 1rem 1.5rem; }
      .who span { display: none; }
      h1 { font-size: 1.4rem; }
      .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; } .tile { padding: .7rem .85rem .8rem; } .tile dd { font-size: 1.4rem; } .tile:last-child:nth-child(odd) { grid-column: 1 / -1; }
    }
    /* Too narrow for the widest table: each row is a card. */
    @media (max-width: 960px) {
      .bar nav.main { order: 3; flex-basis: 100%; } .brand { flex: 1; }
      nav.main a { padding: .35rem .55rem; } nav.main ul { margin-left: -.55rem; }
      table, tr, td, tbody th, caption { display: block; } thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
      table { background: none; border: 0; }
      tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: .7rem; }
      tbody tr { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: .35rem .9rem; }
      tbody tr:first-child > *, td, tbody th { padding: .42rem 0; }
      tbody tr > td { border-top: 1px solid var(--line) !important; } tbody th { border: 0; }
      td, td.number { display: flex; justify-content: space-between; gap: 1rem; text-align: right; }
      td .label { display: block; color: var(--soft); font-size: .9rem; text-align: left; flex: none; }
      td .value { min-width: 0; } td .fine { text-align: right; }
    }
    @media (forced-colors: active) { .badge, .tag, .tile, table { border: 1px solid; } .bars { fill: CanvasText; } }
    """#
}
