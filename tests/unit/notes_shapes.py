"""Interview notes of the tests' own, in the shapes that people write. Beside each: the sections that it holds."""

from __future__ import annotations

from textwrap import dedent
from typing import NamedTuple


class Shape(NamedTuple):
    """A document; what is found in it, as (kind, line, title); lines of text in no section."""

    text: str
    found: list[tuple[str, int, str]]
    loose: list[tuple[int, int]] = []


def shape(text: str, *found: tuple[str, int, str], loose: tuple[tuple[int, int], ...] = ()) -> Shape:
    return Shape(dedent(text).lstrip("\n"), list(found), list(loose))


Q, C, P = "question", "chapter", "part"

SHAPES = {
    "headings ask": shape(
        """
        https://example.org/my-notes
        # 1. Bread
        ## 面包为什么会发起来？
        酵母产气。
        - 糖变成气
        1. **温度**要合适
        - 那么要多久？

        难道不是越久越好吗？

        **一句单独的粗体结论，说的是温度。**

        一天就够。
        ## [How hot must the oven be?](https://example.org/oven), and for how long?

        Hot.

        # 2. Cheese
        ## What is rennet?
        ## 为何要加盐
        防腐。
        """,
        (Q, 3, "面包为什么会发起来？"),
        (Q, 14, "How hot must the oven be?, and for how long?"),
        (Q, 19, "What is rennet?"),
        (Q, 20, "为何要加盐"),
        loose=((1, 1),),
    ),
    "items ask, quotes answer": shape(
        """
        ## Notes on bread

        ### Dough

        - 为什么要揉面？

        > 形成面筋。
        >
        > - 这里有人问：多久？

        - What is autolyse?
        - 盐什么时候放？

        > At the end?

        ### Baking

        - How do you know that it is done?

        > Knock on it.
        """,
        (Q, 5, "为什么要揉面？"),
        (Q, 11, "What is autolyse?"),
        (Q, 12, "盐什么时候放？"),
        (Q, 18, "How do you know that it is done?"),
    ),
    "chapters of prose": shape(
        """
        # Chapter 1

        ## Yeast & Sourdough

        Raising agents make gas.

        $$ C_6H_{12}O_6 $$

        Sourdough is a culture of wild yeast and bacteria.

        ## Why bake?

        ### Heat

        The crust browns.

        > Not below 140 degrees.

        - Steam keeps it soft

        ### rye 与 wheat

        - Both are cereals

        | flour | strong at |
        | ----- | --------- |
        | rye   | taste     |
        | wheat | structure |

        ### 为什么要醒面

        1. 松弛：
           面筋放松。
        2. 吸水：
           淀粉吸水。
        """,
        (C, 3, "Yeast & Sourdough"),
        (P, 9, "Sourdough is a culture of wild yeast and bacteria."),
        (C, 13, "Heat"),
        (P, 19, "Steam keeps it soft"),
        (C, 21, "rye 与 wheat"),
        (P, 27, "rye：taste"),
        (P, 28, "wheat：structure"),
        (Q, 30, "为什么要醒面"),
        (P, 32, "松弛"),
        (P, 34, "吸水"),
    ),
    "labels with and without bullets": shape(
        """
        # Bread

        - Q1 **Why knead?**

            - 1 Gluten
                - It is made of two proteins.

        Q2 **盐的作用**

        - Q 是一个字母, 不是问题
        - 延缓发酵

        - Q4 *Which flour, *and why**
        引用: https://example.org
        Q5 Is it done?
        """,
        (Q, 3, "Why knead?"),
        (Q, 8, "盐的作用"),
        (Q, 13, "Which flour, and why"),
        (Q, 15, "Is it done?"),
    ),
    "bold lines and headings, numbered": shape(
        """
        # 1.bread

        ### 1.Dough

        #### **1.1 讲讲面团？**

        面粉加水。

        **1.2 Stages of the dough**

        -   **Autolyse**: rest

        **Baker's percentage**: flour is 100.

        #### 1.3 为什么要\\[折叠]?

        强度。

        ### 2.Oven&#x20;

        #### （0）Doors

        **Note:**

        **How** they close decides how long the heat stays in the oven once it is off.

        They close well.

        #### （1）Steam

        Steam keeps the crust soft, so that the loaf can grow until it is set; afterwards the crust has to dry, for which \
the door is opened for a moment, once or twice, and the tray with the water is taken out of the oven by hand.

        ![](image/steam.png)

        Too much of it makes the crust thick.

        ![](image/crust.png)

        可以看到颜色不同。

        **What is the stone for**？

        - It keeps heat.

        **烤箱要预热吗？**（第一个问题）

        -   要
            -   例外：冷炉法另说

        **So is the tray**, which stays inside.
        """,
        (Q, 5, "1.1 讲讲面团？"),
        (Q, 9, "1.2 Stages of the dough"),
        (Q, 15, "1.3 为什么要[折叠]?"),
        (C, 21, "（0）Doors"),
        (C, 29, "（1）Steam"),
        (P, 35, "Too much of it makes the crust thick."),
        (Q, 41, "What is the stone for？"),
        (Q, 45, "烤箱要预热吗？（第一个问题）"),
    ),
    "underlined headings": shape(
        """
        Bread
        =====

        What is a crumb?
        ----------------
        The inside.

        A rule follows.
        It is none of the heading's.
        ---

        Crust
        -----
        The outside.
        """,
        (Q, 4, "What is a crumb?"),
        (C, 12, "Crust"),
    ),
    "pairs of Q and A": shape(
        """
        - Q: What is a poolish?
          - A: A wet starter.
          - Q: And a biga?
            - A: A stiff one. Is it Italian? Yes.

        **Q:** Why both?
        A: For taste.
        问：冷藏多久？
        答：一夜。
        Question 7: Why steam?
        """,
        (Q, 1, "What is a poolish?"),
        (Q, 3, "And a biga?"),
        (Q, 6, "Why both?"),
        (Q, 8, "冷藏多久？"),
        (Q, 10, "Why steam?"),
    ),
    "a numbered list": shape(
        """
        1. What is proofing?
           The last rise.
        2. How long does it take?

           An hour.
           - longer in winter?
        3) 为什么要割包？
        """,
        (Q, 1, "What is proofing?"),
        (Q, 3, "How long does it take?"),
        (Q, 7, "为什么要割包？"),
    ),
    "plain lines": shape(
        """
        什么是烘焙百分比？
        面粉为 100。

        What is hydration?

        Water over flour. Is more better?
        """,
        (Q, 1, "什么是烘焙百分比？"),
        (Q, 4, "What is hydration?"),
    ),
    "code, front matter and comments": shape(
        """
        ---
        title: Bread?
        # tags: none
        ---
        <!--
        # What was here?
        -->
        # How is it computed?

        ```python
        # What is this?
        ## no heading
        - Q1 neither?
        ```

        $$
        # not this
        $$

        - ~~~
          # nor this?
          ~~~

        ##No space, still a heading?
        yes
        """,
        (Q, 8, "How is it computed?"),
        (Q, 24, "No space, still a heading?"),
    ),
    "a table in an answer": shape(
        """
        ## Rye vs wheat: which is stronger?

        | rye | wheat |
        | --- | ----- |
        | no? | yes?  |
        """,
        (Q, 1, "Rye vs wheat: which is stronger?"),
    ),
    "nothing asked": shape("Some words.\n\nMore words.\n", loose=((1, 3),)),
    "empty": shape(""),
}

LONG_ANSWER = "## 讲讲面包\n\n" + "".join(
    f"- {number} 第{number}步\n" + "".join(f"    - 细节 {line} 说明一句话.\n" for line in range(12))
    for number in range(1, 7)
)
